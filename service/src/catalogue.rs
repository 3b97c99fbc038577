//! The catalogue that ships with the server.
