//! A rotation that is stopped at any moment, in the process at each step and as a process by `kill -9`: every value is readable,
//! none is in the clear, every key is there, and the next run completes it.
