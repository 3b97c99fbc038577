//! Servers on free ports of loopback. They count their connections, so that a test can say that there was none.

use super::Identity;
use axum::{Router, serve::Listener};
use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

/// Both directions of a connection.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection, with or without TLS.
pub type Connection = Box<dyn Duplex>;

/// A running server.
pub struct Served {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    tasks: [JoinHandle<()>; 2],
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Served({})", self.address)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Served {
    /// `http://127.0.0.1:<port><path>`.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// `https://<name>:<port><path>`.
    pub fn https(&self, name: &str, path: &str) -> String {
        format!("https://{name}:{}{path}", self.address.port())
    }

    /// Connections that were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// The connections of a listener, after their handshakes.
struct Accepted {
    connections: mpsc::UnboundedReceiver<(Connection, SocketAddr)>,
    address: SocketAddr,
}

impl Listener for Accepted {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn start<F, T>(tls: Option<Identity>, serve: F) -> Served
where
    F: FnOnce(Accepted) -> T,
    T: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let counter = Arc::new(AtomicUsize::new(0));
    let (sender, connections) = mpsc::unbounded_channel();
    let count = counter.clone();
    let accept = async move {
        while let Ok((stream, peer)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let (sender, tls) = (sender.clone(), tls.clone());
            // A handshake that fails or hangs is no other connection's concern.
            tokio::spawn(async move {
                let connection: Connection = match tls {
                    None => Box::new(stream),
                    Some(identity) => match TlsAcceptor::from(identity).accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => return,
                    },
                };
                let _ = sender.send((connection, peer));
            });
        }
    };
    let serving = serve(Accepted { connections, address });
    Served { address, connections: counter, tasks: [tokio::spawn(accept), tokio::spawn(serving)] }
}

async fn routed(router: Router, tls: Option<Identity>) -> Served {
    start(tls, async |accepted: Accepted| drop(axum::serve(accepted, router).await)).await
}

/// An upstream.
pub async fn http(router: Router) -> Served {
    routed(router, None).await
}

/// An upstream over TLS.
pub async fn https(router: Router, identity: Identity) -> Served {
    routed(router, Some(identity)).await
}

/// Gives each connection to a handler.
pub async fn raw<H, T>(tls: Option<Identity>, handler: H) -> Served
where
    H: Fn(Connection) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    start(tls, |mut accepted: Accepted| async move {
        loop {
            let (connection, _) = accepted.accept().await;
            tokio::spawn(handler(connection));
        }
    })
    .await
}

/// Reads up to the end of a request's head.
pub async fn head(connection: &mut Connection) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Answers every request with these bytes, and closes.
pub async fn saying(bytes: impl Into<Vec<u8>>) -> Served {
    let bytes: Arc<[u8]> = bytes.into().into();
    raw(None, move |mut connection| {
        let bytes = bytes.clone();
        async move {
            head(&mut connection).await;
            say(connection, &bytes).await;
        }
    })
    .await
}

/// Says these bytes before it is asked, and closes.
pub async fn blurting(bytes: &'static [u8]) -> Served {
    raw(None, |connection| say(connection, bytes)).await
}

/// Says the last words of a connection.
pub(super) async fn say(mut connection: Connection, bytes: &[u8]) {
    let _ = connection.write_all(bytes).await;
    let _ = connection.shutdown().await;
    // A reset would take away what was said before it is read.
    let _ = connection.read_to_end(&mut Vec::new()).await;
}

/// Takes connections, and never says a word.
pub async fn silent() -> Served {
    raw(None, |connection| async move {
        let _open = connection;
        std::future::pending::<()>().await;
    })
    .await
}

/// A port that nothing listens on, and that nothing else can take meanwhile.
#[derive(Debug)]
pub struct Dead {
    /// Where.
    pub address: SocketAddr,
    _bound: TcpSocket,
}

/// A port that refuses connections.
pub fn dead() -> Dead {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Dead { address: socket.local_addr().unwrap(), _bound: socket }
}
