//! A call from its URL to its answer: the target is checked before anything is dialed, the ways are tried in their order, and
//! once a request has been sent it is not sent again.

use super::{
    Answer, Call, Checked, Fault, FaultKind, Proxy, Purpose, Upstream, Way, address,
    dial::{self, Stream},
    exchange::{self, Parts},
};
use std::time::{Duration, Instant};
use tokio::time::timeout;
use url::{Host, Url};

/// How long a name may take.
const RESOLVE: Duration = Duration::from_secs(5);
/// How long one proxy may take to connect, at most.
const TUNNEL: Duration = Duration::from_secs(10);

/// `host:port`, for people.
fn name_of(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// Where a call goes.
#[derive(Debug)]
struct Target {
    host: Host<String>,
    tls: bool,
    at: Checked,
}

impl Upstream {
    /// Makes a call, and says what was answered, whatever its status.
    pub async fn send(&self, call: Call, way: &Way) -> Result<Answer, Fault> {
        let (started, patience, name) = (Instant::now(), call.patience, name_of(&call.url));
        let answered = timeout(patience, self.go(call, way, started)).await;
        answered.unwrap_or_else(|_| {
            Err(Fault::new(FaultKind::Timeout, format!("{name}: it did not answer within {patience:?}")))
        })
    }

    /// Whether calls may go to this URL now: its host has addresses, and all of them are let through.
    pub async fn check_target(&self, url: &Url) -> Result<(), Fault> {
        self.find_target(url).await.map(drop)
    }

    /// Makes a call through this proxy and no other way.
    pub async fn send_through(&self, call: Call, proxy: &Proxy) -> Result<Answer, Fault> {
        let way = Way { proxies: vec![proxy.clone()], strict: true, ..Way::default() };
        self.send(call, &way).await
    }

    async fn go(&self, call: Call, way: &Way, started: Instant) -> Result<Answer, Fault> {
        let target = self.find_target(&call.url).await?;
        let (stream, via) = self.connect(&target, way, (started, call.patience)).await?;
        let asked = self.ask(stream, call, &target, !way.skip_verification).await;
        let (status, headers, body) = asked.map_err(|fault| match via.and_then(|n| way.proxies.get(n)) {
            Some(proxy) => {
                Fault::new(fault.kind, format!("{}, through the proxy {}", fault.message, proxy.name()))
            }
            None => fault,
        })?;
        Ok(Answer { status, headers, body, elapsed: started.elapsed(), via })
    }

    async fn ask(&self, stream: Stream, call: Call, target: &Target, verify: bool) -> Result<Parts, Fault> {
        let name = target.at.name();
        let stream =
            if target.tls { self.tls.start(stream, &target.host, name, verify).await? } else { stream };
        exchange::exchange(stream, call, name).await
    }

    /// A connection by the first way that works, and which proxy it goes through.
    async fn connect(
        &self,
        target: &Target,
        way: &Way,
        (started, patience): (Instant, Duration),
    ) -> Result<(Stream, Option<usize>), Fault> {
        let direct = async { Ok((dial::connect(&target.at).await?, None)) };
        if address::bypasses(&way.no_proxy, &target.host, target.at.port()) {
            return direct.await;
        }
        let mut faults = Vec::new();
        for (n, proxy) in way.proxies.iter().enumerate() {
            // Each way that is left has an equal share of the time, so that a silent proxy does not use up the next one's; a
            // tenth is for saying that it was the proxy.
            let left = way.proxies.len() - n + usize::from(!way.strict);
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            let share = patience.saturating_sub(started.elapsed()) / left / 10 * 9;
            match timeout(share.min(TUNNEL), self.tunnel(proxy, &target.at)).await {
                Ok(Ok(stream)) => return Ok((stream, Some(n))),
                Ok(Err(fault)) if fault.kind == FaultKind::Forbidden => return Err(fault),
                Ok(Err(fault)) => faults.push(fault.message),
                Err(_) => faults.push(format!("the proxy {}: it did not answer in time", proxy.name())),
            }
        }
        match (way.strict, faults.is_empty()) {
            (false, _) => direct.await,
            (true, true) => Err(Fault::new(FaultKind::Proxy, "the pool has no proxy that is enabled")),
            (true, false) => Err(Fault::new(FaultKind::Proxy, faults.join("; "))),
        }
    }

    async fn find_target(&self, url: &Url) -> Result<Target, Fault> {
        let forbidden = |why: &str| Fault::new(FaultKind::Forbidden, why);
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(forbidden("calls go over https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(forbidden("a URL with a user or a password is not called"));
        }
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(forbidden("a URL without a host is not called"));
        };
        let host = host.to_owned();
        let at = self.find(Purpose::Target { tls }, &host, port).await?;
        Ok(Target { host, tls, at })
    }

    pub(super) async fn find_proxy(&self, proxy: &Proxy) -> Result<(Host<String>, Checked), Fault> {
        let host = address::read_host(&proxy.host)
            .ok_or_else(|| Fault::new(FaultKind::Unresolved, format!("{}: it is no host", proxy.host)))?;
        let at = self.find(Purpose::Proxy, &host, proxy.port).await?;
        Ok((host, at))
    }

    /// The addresses of a host, looked up once and checked all.
    async fn find(&self, purpose: Purpose, host: &Host<String>, port: u16) -> Result<Checked, Fault> {
        let unresolved = |why: &str| Fault::new(FaultKind::Unresolved, format!("{host}: {why}"));
        let found = timeout(RESOLVE, self.resolver.addresses(host)).await;
        let ips = found
            .map_err(|_| unresolved("no name server answered for it"))?
            .map_err(|_| unresolved("the name is not known"))?;
        self.settings.check(purpose, host, port, ips)
    }
}
