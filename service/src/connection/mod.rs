//! Provider connections: the configured upstreams of an organization.
