//! `tollkeeper health`: whether the server of this configuration is ready, asked as any client would.

use crate::{config::Config, tls};
use anyhow::{Context, bail};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

const PATIENCE: Duration = Duration::from_secs(3);
const REQUEST: &[u8] = b"GET /health/ready HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Runs it.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    let address = reachable(config.listen);
    let tls = config.server.tls.as_ref().map(|_| tls::client()).transpose()?.map(TlsConnector::from);
    let reply = timeout(PATIENCE, ask(address, tls)).await.context("no answer in time")?;
    let reply = reply.with_context(|| format!("{address} does not answer"))?;
    match reply.lines().next() {
        Some(line) if line.starts_with("HTTP/1.1 200") => Ok(()),
        line => bail!("not ready: {}", line.unwrap_or("an empty answer")),
    }
}

async fn ask(address: SocketAddr, tls: Option<TlsConnector>) -> std::io::Result<String> {
    let stream = TcpStream::connect(address).await?;
    match tls {
        Some(tls) => exchange(tls.connect(address.ip().into(), stream).await?).await,
        None => exchange(stream).await,
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<String> {
    stream.write_all(REQUEST).await?;
    let mut reply = Vec::new();
    stream.take(4096).read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// The address under which this machine reaches a server that listens everywhere.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
