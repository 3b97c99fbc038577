//! Proxy pools: the outbound proxies of an organization.
