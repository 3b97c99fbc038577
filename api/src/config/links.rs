//! The variables that Kubernetes makes in every container for each service of the namespace. Those of a service whose name
//! begins with `tollkeeper` have our prefix and are not ours; they are known by their shape, name and value, so that a mistyped
//! setting is not taken for one.

use std::net::IpAddr;

/// Whether a variable is one of those.
pub(super) fn is_service_link(variable: &str, value: Option<&str>) -> bool {
    let Some(value) = value else { return false };
    let of_service = |suffix: &str| variable.ends_with(suffix);
    if of_service("_SERVICE_HOST") {
        return is_address(value);
    }
    if of_service("_SERVICE_PORT") {
        return is_port(value);
    }
    if let Some((_, name)) = variable.rsplit_once("_SERVICE_PORT_") {
        return is_name(name) && is_port(value);
    }
    let Some((_, rest)) = variable.rsplit_once("_PORT_") else {
        return of_service("_PORT") && is_link(value);
    };
    let parts: Vec<&str> = rest.split('_').collect();
    match parts.as_slice() {
        [port, protocol] => is_port(port) && is_protocol(protocol) && is_link(value),
        [port, protocol, part] if is_port(port) && is_protocol(protocol) => match *part {
            "PROTO" => is_protocol(&value.to_uppercase()),
            "PORT" => value == *port,
            "ADDR" => is_address(value),
            _ => false,
        },
        _ => false,
    }
}

fn is_address(text: &str) -> bool {
    text == "None" || text.parse::<IpAddr>().is_ok()
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_protocol(text: &str) -> bool {
    matches!(text, "TCP" | "UDP" | "SCTP")
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `tcp://10.0.0.1:8080`, which no port or address of ours is.
fn is_link(text: &str) -> bool {
    let Some((protocol, rest)) = text.split_once("://") else { return false };
    let Some((host, port)) = rest.rsplit_once(':') else { return false };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_protocol(&protocol.to_uppercase()) && is_address(host) && is_port(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_a_service_are_known_by_their_shape() {
        for (name, value) in [
            ("TOLLKEEPER_SERVICE_HOST", "10.96.0.7"),
            ("TOLLKEEPER_SERVICE_PORT", "8080"),
            ("TOLLKEEPER_SERVICE_PORT_HTTP", "8080"),
            ("TOLLKEEPER_PORT", "tcp://10.96.0.7:8080"),
            ("TOLLKEEPER_PORT_8080_TCP", "tcp://10.96.0.7:8080"),
            ("TOLLKEEPER_PORT_8080_TCP_PROTO", "tcp"),
            ("TOLLKEEPER_PORT_8080_TCP_PORT", "8080"),
            ("TOLLKEEPER_PORT_8080_TCP_ADDR", "10.96.0.7"),
            ("TOLLKEEPER_METRICS_PORT_53_UDP", "udp://[fd00::7]:53"),
            ("TOLLKEEPER_DATABASE_SERVICE_HOST", "fd00::7"),
        ] {
            assert!(is_service_link(name, Some(value)), "{name}={value}");
        }
        for (name, value) in [
            ("TOLLKEEPER_PORT", "8080"),
            ("TOLLKEEPER_LISTEN", "127.0.0.1:8080"),
            ("TOLLKEEPER_UPSTREAM_PORTS", "443"),
            ("TOLLKEEPER_SERVICE_HOST", "example.com"),
            ("TOLLKEEPER_PORT_8080_TCP_ADDR", "example.com"),
            ("TOLLKEEPER_PORT_8080_TCP_PORT", "8081"),
            ("TOLLKEEPER_PORT_HTTP_TCP", "tcp://10.96.0.7:8080"),
            ("TOLLKEEPER_SERVICE_PORT_", "8080"),
        ] {
            assert!(!is_service_link(name, Some(value)), "{name}={value}");
        }
        assert!(!is_service_link("TOLLKEEPER_PORT", None));
    }
}
