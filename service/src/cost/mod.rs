//! What a call costs: usage in, money out. Pure.
