//! TLS: certificates are verified by the host's name against what this machine trusts and the operator's own authorities.

use super::{Fault, FaultKind, dial::Stream, unverified::Unverified};
use crate::Error;
use rustls::{
    CertificateError, ClientConfig, RootCertStore,
    client::danger::ServerCertVerifier,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{
    io,
    sync::{Arc, OnceLock},
};
use tokio_rustls::TlsConnector;
use url::Host;

/// Starts TLS on connections.
#[derive(Debug)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    extra: Vec<CertificateDer<'static>>,
    /// Read from this machine when it is first needed: a server that calls nobody need not have authorities.
    trusted: OnceLock<Option<Arc<ClientConfig>>>,
    unverified: OnceLock<Option<Arc<ClientConfig>>>,
}

/// Reads certificates in PEM that are to be trusted, or says what is wrong with them.
pub fn read_roots(pem: &str) -> Result<Vec<CertificateDer<'static>>, &'static str> {
    if pem.trim().is_empty() {
        return Ok(Vec::new());
    }
    let roots = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "is not PEM")?;
    if roots.is_empty() {
        return Err("has no certificate in it");
    }
    let mut store = RootCertStore::empty();
    roots
        .iter()
        .try_for_each(|root| store.add(root.clone()))
        .map_err(|_| "has a certificate that cannot be read")?;
    Ok(roots)
}

impl Tls {
    pub(super) fn new(extra_roots: &str) -> crate::Result<Self> {
        let extra = read_roots(extra_roots)
            .map_err(|fault| Error::Internal(format!("the upstreams' file of authorities {fault}")))?;
        Ok(Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            extra,
            trusted: OnceLock::new(),
            unverified: OnceLock::new(),
        })
    }

    /// A connection to this host over TLS. `name` is for people.
    pub(super) async fn start(
        &self,
        stream: Stream,
        host: &Host<String>,
        name: &str,
        verify: bool,
    ) -> Result<Stream, Fault> {
        let fault = |why: &str| Fault::new(FaultKind::Tls, format!("{name}: {why}"));
        let config = if verify { self.trusted() } else { self.unverified() };
        let config = config.ok_or_else(|| fault("this server knows no certificate authorities"))?;
        let subject = subject(host).ok_or_else(|| fault("no certificate can be for this host name"))?;
        let stream = TlsConnector::from(config)
            .connect(subject, stream)
            .await
            .map_err(|error| fault(words(&error)))?;
        Ok(Box::new(stream))
    }

    fn trusted(&self) -> Option<Arc<ClientConfig>> {
        let make = || {
            let provider = self.provider.clone();
            let verifier =
                rustls_platform_verifier::Verifier::new_with_extra_roots(self.extra.clone(), provider)
                    .ok()?;
            self.config(Arc::new(verifier))
        };
        self.trusted.get_or_init(make).clone()
    }

    fn unverified(&self) -> Option<Arc<ClientConfig>> {
        let make = || self.config(Arc::new(Unverified::new(&self.provider)));
        self.unverified.get_or_init(make).clone()
    }

    fn config(&self, verifier: Arc<dyn ServerCertVerifier>) -> Option<Arc<ClientConfig>> {
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A connection is used for one call, and by one tenant.
        config.resumption = rustls::client::Resumption::disabled();
        Some(Arc::new(config))
    }
}

fn subject(host: &Host<String>) -> Option<ServerName<'static>> {
    match host {
        Host::Domain(name) => ServerName::try_from(super::address::undotted(name).to_owned()).ok(),
        Host::Ipv4(ip) => Some(ServerName::IpAddress((*ip).into())),
        Host::Ipv6(ip) => Some(ServerName::IpAddress((*ip).into())),
    }
}

/// What went wrong with a handshake, for people.
fn words(error: &io::Error) -> &'static str {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "it closed the connection instead of speaking TLS",
            _ => "the connection broke off while TLS was being agreed",
        };
    };
    match error {
        rustls::Error::InvalidCertificate(fault) => certificate(fault),
        rustls::Error::AlertReceived(_) => "it refused to speak TLS",
        rustls::Error::PeerIncompatible(_) => "it speaks no version of TLS that is accepted here",
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        _ => "TLS could not be agreed",
    }
}

fn certificate(fault: &CertificateError) -> &'static str {
    match fault {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another host"
        }
        // An issuer of a known name with another key is another issuer.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate comes from an unknown issuer"
        }
        CertificateError::Revoked => "its certificate has been revoked",
        _ => "its certificate is not acceptable",
    }
}
