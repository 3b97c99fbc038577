//! The certificate that the server shows: two files in PEM, read at the start and again at SIGHUP. A pair that does not
//! fit is never taken.

use rustls::{
    ClientConfig, DigitallySignedStruct, ServerConfig, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The settings of the files, as faults name them.
pub const CERT: &str = "tls-cert";
/// See [`CERT`].
pub const KEY: &str = "tls-key";

/// Where certificate and key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead from it to an authority.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What is wrong with one of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFault {
    /// The setting that names it.
    pub setting: &'static str,
    /// Why it cannot be used.
    pub message: String,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = self.setting.replace('-', "_").to_uppercase();
        write!(f, "TOLLKEEPER_{variable}: {}", self.message)
    }
}

impl std::error::Error for TlsFault {}

/// Reads both files; HTTP/2 is offered before HTTP/1.1.
pub fn load(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsFault> {
    let chain = certificates(&files.cert)?;
    let key = private_key(&files.key)?;
    let fault = |setting, message: String| TlsFault { setting, message };
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| fault(CERT, error.to_string()))?;
    let mut config =
        builder.with_no_client_auth().with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                fault(KEY, format!("{} is not the key of the certificate", files.key.display()))
            }
            error => fault(CERT, format!("{} cannot be used: {error}", files.cert.display())),
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn contents(setting: &'static str, path: &Path) -> Result<Vec<u8>, TlsFault> {
    std::fs::read(path).map_err(|error| TlsFault { setting, message: format!("{}: {error}", path.display()) })
}

/// The certificates of a file, of which there must be one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFault> {
    let text = contents(CERT, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let message = match chain {
        Ok(chain) if chain.is_empty() => format!("{} holds no certificate in PEM", path.display()),
        Ok(chain) => return Ok(chain),
        Err(error) => format!("{} is not PEM: {error}", path.display()),
    };
    Err(TlsFault { setting: CERT, message })
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFault> {
    let text = zeroize::Zeroizing::new(contents(KEY, path)?);
    // What the parser says could repeat the key.
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsFault {
        setting: KEY,
        message: format!("{} holds no private key in PEM, or one that needs a passphrase", path.display()),
    })
}

/// Whether every user of this machine can read the key.
#[cfg(unix)]
pub fn is_exposed(files: &TlsFiles) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(&files.key).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

/// Modes are not known here.
#[cfg(not(unix))]
pub fn is_exposed(_: &TlsFiles) -> bool {
    false
}

/// How a command on this machine asks the server how it is: whatever certificate it shows. Nothing secret is sent, and the
/// files may hold a newer one that the server has not read yet, or cannot use.
pub fn client() -> anyhow::Result<Arc<ClientConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Any(provider)))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Takes any certificate of a server that has its key.
#[derive(Debug)]
struct Any(Arc<CryptoProvider>);

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
