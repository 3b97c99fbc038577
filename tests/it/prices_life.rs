//! prices_life
