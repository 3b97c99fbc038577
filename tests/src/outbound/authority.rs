//! [`Authority`]: issues the certificates of servers under test.

use chrono::{Datelike, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
};

/// What a server shows in a handshake.
pub type Identity = Arc<ServerConfig>;

/// Issues certificates.
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority")
    }
}

/// The one that every [`TestApp`](crate::TestApp) trusts.
pub fn authority() -> &'static Authority {
    static TRUSTED: OnceLock<Authority> = OnceLock::new();
    TRUSTED.get_or_init(Authority::new)
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// One that nobody trusts yet.
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        // Two authorities of one name would be taken for each other.
        let name = format!("test authority {}", uuid::Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// Its certificate.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for these names and addresses.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_for(names, -30, 300)
    }

    /// One that has expired.
    pub fn issue_expired(&self, names: &[&str]) -> Identity {
        self.issue_for(names, -60, -30)
    }

    /// Valid between two days, counted from today: what looks at certificates has the time of this machine.
    fn issue_for(&self, names: &[&str], from: i64, until: i64) -> Identity {
        let (certificate, key) = self.sign(names, from, until);
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }

    /// A certificate for these names and addresses and its key, as files hold them.
    pub fn issue_pem(&self, names: &[&str]) -> (String, String) {
        let (certificate, key) = self.sign(names, -30, 300);
        (certificate.pem(), key.serialize_pem())
    }

    fn sign(&self, names: &[&str], from: i64, until: i64) -> (Certificate, KeyPair) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let day = |days| {
            let date = Utc::now().date_naive() + TimeDelta::days(days);
            date_time_ymd(date.year(), date.month().try_into().unwrap(), date.day().try_into().unwrap())
        };
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (day(from), day(until));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }
}
