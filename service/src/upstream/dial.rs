//! Connections: to an address that was checked, and through a proxy to one. No name is resolved here, and none is given to a proxy.

use super::{
    Checked, Fault, FaultKind, Proxy, Upstream,
    exchange::{beside, client},
};
use crate::vault::Plain;
use base64::{Engine, prelude::BASE64_STANDARD};
use entity::status::ProxyScheme;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_socks::tcp::Socks5Stream;
use url::Host;
use zeroize::Zeroizing;

/// How long all addresses of a host may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Addresses of a target that a proxy is asked for.
const ASKED: usize = 3;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection of any kind.
pub type Stream = Box<dyn Duplex>;

/// Connects to the first address that takes it. Each has its share of the time, so that a silent one hides no other.
pub(super) async fn connect(to: &Checked) -> Result<Stream, Fault> {
    let share = CONNECT / u32::try_from(to.addresses().len()).unwrap_or(u32::MAX).max(1);
    let mut fault = Fault::new(FaultKind::Unresolved, format!("{} has no address", to.name()));
    for address in to.addresses() {
        fault = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it small requests wait; they are sent all the same.
                let _ = stream.set_nodelay(true);
                return Ok(Box::new(stream));
            }
            Ok(Err(error)) => Fault::new(FaultKind::Unreachable, format!("{}: {}", to.name(), error.kind())),
            Err(_) => Fault::new(FaultKind::Timeout, format!("{}: it does not take connections", to.name())),
        };
    }
    Err(fault)
}

/// Why a proxy did not connect to one address.
enum Refusal {
    /// It will not for another either.
    Proxy(String),
    /// It might for another.
    Address(String),
}

impl Upstream {
    /// A connection to the target through a proxy. A proxy that the guard does not let through is `Forbidden`; every other
    /// fault is the proxy's.
    pub(super) async fn tunnel(&self, proxy: &Proxy, to: &Checked) -> Result<Stream, Fault> {
        let (host, at) = self.find_proxy(proxy).await.map_err(|fault| through(&fault))?;
        let mut last = String::new();
        for address in for_proxy(to.addresses()) {
            let stream = self.reach_proxy(proxy, &host, &at).await.map_err(|fault| through(&fault))?;
            let asked = match proxy.scheme {
                ProxyScheme::Http | ProxyScheme::Https => {
                    ask_http(stream, address, proxy.login.as_ref()).await
                }
                ProxyScheme::Socks5 => ask_socks(stream, address, proxy.login.as_ref()).await,
            };
            match asked {
                Ok(stream) => return Ok(stream),
                Err(Refusal::Proxy(why)) => return Err(refusal(&at, &why)),
                Err(Refusal::Address(why)) => last = why,
            }
        }
        Err(refusal(&at, &format!("{last} {}", to.name())))
    }

    async fn reach_proxy(&self, proxy: &Proxy, host: &Host<String>, at: &Checked) -> Result<Stream, Fault> {
        let stream = connect(at).await?;
        if proxy.scheme == ProxyScheme::Https {
            return self.tls.start(stream, host, at.name(), true).await;
        }
        Ok(stream)
    }
}

/// What was found on the way to a proxy is the proxy's fault, but for an address that is forbidden to tenants.
fn through(fault: &Fault) -> Fault {
    let kind = if fault.kind == FaultKind::Forbidden { FaultKind::Forbidden } else { FaultKind::Proxy };
    Fault::new(kind, format!("the proxy {}", fault.message))
}

fn refusal(at: &Checked, why: &str) -> Fault {
    Fault::new(FaultKind::Proxy, format!("the proxy {}: {why}", at.name()))
}

/// The addresses that a proxy is asked for: IPv4 first, since many know nothing else.
fn for_proxy(addresses: &[SocketAddr]) -> impl Iterator<Item = SocketAddr> {
    let (four, six): (Vec<_>, Vec<_>) = addresses.iter().partition(|address| address.is_ipv4());
    four.into_iter().chain(six).take(ASKED)
}

/// `CONNECT`, with the address.
async fn ask_http(stream: Stream, address: SocketAddr, login: Option<&Plain>) -> Result<Stream, Refusal> {
    let request = connect_request(address, login)
        .ok_or_else(|| Refusal::Proxy("it cannot be asked for this address".into()))?;
    let (mut sender, connection) =
        client().handshake(TokioIo::new(stream)).await.map_err(|error| unheard(&error))?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|error| unheard(&error))?;
        match answer.status() {
            status if status.is_success() => {
                hyper::upgrade::on(answer).await.map_err(|error| unheard(&error))
            }
            // The second is what tinyproxy says to a wrong login.
            StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => {
                let why = if login.is_some() { "it refuses the login" } else { "it asks for a login" };
                Err(Refusal::Proxy(why.into()))
            }
            _ => Err(Refusal::Address("it refuses to connect to".into())),
        }
    };
    let upgraded = beside(connection.with_upgrades(), asked).await?;
    Ok(Box::new(TokioIo::new(upgraded)))
}

fn connect_request(address: SocketAddr, login: Option<&Plain>) -> Option<Request<Empty<Bytes>>> {
    let request = Request::connect(address.to_string()).header(header::HOST, address.to_string());
    let Some(login) = login else { return request.body(Empty::new()).ok() };
    let text = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(login.expose())));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    request.header(header::PROXY_AUTHORIZATION, value).body(Empty::new()).ok()
}

fn unheard(error: &hyper::Error) -> Refusal {
    let why = if error.is_parse_too_large() {
        "its answer is too large"
    } else if error.is_parse() {
        "it does not speak HTTP"
    } else {
        "it closed the connection when it was asked to connect"
    };
    Refusal::Proxy(why.into())
}

/// SOCKS 5, with the address. A login is offered beside none: not every proxy asks for it.
async fn ask_socks(stream: Stream, address: SocketAddr, login: Option<&Plain>) -> Result<Stream, Refusal> {
    let asked = match login {
        None => Socks5Stream::connect_with_socket(stream, address).await,
        Some(login) => {
            let text = login.text().ok_or_else(|| Refusal::Proxy("its login is no text".into()))?;
            let (user, password) = text.split_once(':').unwrap_or((text, ""));
            Socks5Stream::connect_with_password_and_socket(stream, address, user, password).await
        }
    };
    asked.map(Socks5Stream::into_inner).map_err(|error| socks_refusal(&error, login.is_some()))
}

fn socks_refusal(error: &tokio_socks::Error, login: bool) -> Refusal {
    use tokio_socks::Error as E;
    match error {
        E::PasswordAuthFailure(_) => Refusal::Proxy("it refuses the login".into()),
        E::NoAcceptableAuthMethods | E::AuthorizationRequired if login => {
            Refusal::Proxy("it takes no login with a user and a password".into())
        }
        E::NoAcceptableAuthMethods | E::AuthorizationRequired => Refusal::Proxy("it asks for a login".into()),
        E::InvalidAuthValues(_) => {
            Refusal::Proxy("its login must have a user and a password of 1 to 255 bytes".into())
        }
        E::Io(_) => Refusal::Proxy("it closed the connection when it was asked to connect".into()),
        E::InvalidResponseVersion | E::UnknownAuthMethod | E::InvalidReservedByte | E::UnknownAddressType => {
            Refusal::Proxy("it does not speak SOCKS 5".into())
        }
        _ => Refusal::Address("it refuses to connect to".into()),
    }
}
