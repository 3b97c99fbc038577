//! Names to addresses: once for each call, since a second answer may be another.

use super::address::undotted;
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};
use url::Host;

/// Answers a name with addresses.
pub type Answers = dyn Fn(&str) -> Vec<IpAddr> + Send + Sync;

/// Where the addresses of a name come from.
#[derive(Clone, Default)]
pub enum Resolver {
    /// The system.
    #[default]
    System,
    /// A test's own answers.
    Fixed(Arc<Answers>),
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Fixed(_) => "Fixed",
        })
    }
}

impl Resolver {
    /// All addresses of a host.
    pub(super) async fn addresses(&self, host: &Host<String>) -> io::Result<Vec<IpAddr>> {
        let name = match host {
            Host::Ipv4(ip) => return Ok(vec![(*ip).into()]),
            Host::Ipv6(ip) => return Ok(vec![(*ip).into()]),
            Host::Domain(name) => name,
        };
        // Reserved for this machine, whatever a name server says of them. Who means the other loopback address writes it.
        if is_localhost(name) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        match self {
            Self::System => {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
            Self::Fixed(answers) => Ok(answers(name)),
        }
    }
}

fn is_localhost(name: &str) -> bool {
    undotted(name).rsplit('.').next().is_some_and(|last| last.eq_ignore_ascii_case("localhost"))
}
