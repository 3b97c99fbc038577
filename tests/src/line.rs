//! [`Line`]: a line to a database that can be cut, mended, and led somewhere else.

use std::net::SocketAddr;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// A line to a database.
#[derive(Debug)]
pub struct Line {
    /// Where it begins.
    pub address: SocketAddr,
    database: String,
    calls: JoinHandle<()>,
}

impl Line {
    /// A line to the database at this host and port.
    pub async fn new(database: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { address, database: database.into(), calls: tokio::spawn(connect(listener, database.into())) }
    }

    /// Every call ends, and nobody answers new ones.
    pub async fn cut(&mut self) {
        self.calls.abort();
        let _ = (&mut self.calls).await;
    }

    /// New calls are answered again.
    pub async fn mend(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.calls = tokio::spawn(connect(listener, self.database.clone()));
    }

    /// Every call ends, and new ones lead to another database.
    pub async fn lead_to(&mut self, database: &str) {
        self.cut().await;
        self.database = database.into();
        self.mend().await;
    }
}

async fn connect(listener: TcpListener, database: String) {
    let mut calls = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let database = database.clone();
        calls.spawn(async move {
            let Ok(mut far) = TcpStream::connect(database).await else { return };
            let _ = copy_bidirectional(&mut near, &mut far).await;
        });
    }
}
