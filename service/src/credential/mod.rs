//! Credentials: the secrets of a connection.
