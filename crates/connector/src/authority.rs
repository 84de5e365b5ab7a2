//! The certificates that a job's TLS is ended with.

use lazaret_egress::{Host, RequestRule, Target};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PKCS_ECDSA_P256_SHA256, SanType,
    SerialNumber,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use time::OffsetDateTime;

/// How far a job's clock may be behind.
const BEHIND: Duration = Duration::from_secs(600);
/// How long an authority may hold: a year.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// One job's certificate authority: made for the job, held in memory alone, gone with it. It can speak for the hosts of the
/// rules that it was made with and for no other, which its certificate says (RFC 5280, 4.2.1.10), so that even a job that
/// trusts it believes it nothing else.
#[derive(Debug)]
pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
    /// One key for all leaves of the job.
    leaf: KeyPair,
    from: OffsetDateTime,
    until: OffsetDateTime,
    issued: AtomicU64,
}

/// Why there is no authority, or no certificate of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthorityError {
    /// A key or certificate could not be made.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// A time that no certificate can say, or of which no job lasts as long.
    #[error("a job's authority holds for a year at most, not for {0:?}")]
    Lifetime(Duration),
    /// The TLS library does not take its key.
    #[error("cannot use a certificate that was made")]
    Use(#[from] rustls::Error),
}

impl Authority {
    /// An authority for the hosts of `rules`, which holds for `lifetime`.
    ///
    /// # Errors
    ///
    /// When keys or certificates cannot be made, or `lifetime` is over a year.
    pub fn new(rules: &[RequestRule], lifetime: Duration) -> Result<Self, AuthorityError> {
        if lifetime > LONGEST {
            return Err(AuthorityError::Lifetime(lifetime));
        }
        let now = SystemTime::now();
        let (from, until) = (OffsetDateTime::from(now - BEHIND), OffsetDateTime::from(now + lifetime));
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut own = params("Lazaret: this job's requests", from, until);
        own.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        own.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        own.name_constraints = Some(constraints(rules));
        let pem = own.self_signed(&key)?.pem();
        Ok(Self {
            pem,
            issuer: Issuer::new(own, key),
            leaf: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?,
            from,
            until,
            issued: AtomicU64::new(1),
        })
    }

    /// Its certificate, which the job has to trust.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for `host`, with its key.
    pub(crate) fn issue(&self, host: &Host) -> Result<Arc<CertifiedKey>, AuthorityError> {
        let mut leaf = params("Lazaret", self.from, self.until);
        leaf.subject_alt_names = vec![match host {
            Host::Name(name) => SanType::DnsName(name.as_str().try_into()?),
            Host::Address(address) => SanType::IpAddress(*address),
        }];
        leaf.serial_number = Some(SerialNumber::from(self.issued.fetch_add(1, Ordering::Relaxed)));
        leaf.use_authority_key_identifier_extension = true;
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate: CertificateDer<'static> = leaf.signed_by(&self.leaf, &self.issuer)?.into();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.leaf.serialize_der()));
        Ok(Arc::new(CertifiedKey::from_der(vec![certificate], key, &ring::default_provider())?))
    }
}

fn params(name: &str, from: OffsetDateTime, until: OffsetDateTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    // Not a common name: GnuTLS takes that for the name of a host where a certificate is for an address.
    params.distinguished_name.push(DnType::OrganizationName, name);
    (params.not_before, params.not_after) = (from, until);
    params
}

/// The hosts of `rules` and no other. A kind of names of which no rule has one is excluded as a whole, as a constraint holds
/// for its own kind alone.
fn constraints(rules: &[RequestRule]) -> NameConstraints {
    let mut permitted_subtrees: Vec<GeneralSubtree> = Vec::new();
    for rule in rules {
        permitted_subtrees.push(match &rule.target {
            // Such a name is itself and all below it.
            Target::Name(name) | Target::Below(name) => GeneralSubtree::DnsName(name.to_string()),
            Target::Range(range) => {
                GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(range.addr(), range.prefix_len()))
            }
            // A kind that is not known here gets no certificate.
            _ => continue,
        });
    }
    let is_name = |subtree: &GeneralSubtree| matches!(subtree, GeneralSubtree::DnsName(_));
    let mut excluded_subtrees = Vec::new();
    if !permitted_subtrees.iter().any(is_name) {
        excluded_subtrees.push(GeneralSubtree::DnsName(String::new()));
    }
    if permitted_subtrees.iter().all(is_name) {
        let every = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        excluded_subtrees
            .extend(every.map(|address| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 0))));
    }
    NameConstraints { permitted_subtrees, excluded_subtrees }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{ServerName, UnixTime};

    fn authority(rules: &[&str]) -> Authority {
        let rules: Vec<RequestRule> = rules.iter().map(|text| text.parse().expect("a rule")).collect();
        Authority::new(&rules, Duration::from_secs(60)).expect("an authority")
    }

    /// Whether who trusts `authority` believes a certificate of it for `host`, so long from now.
    fn is_believed(authority: &Authority, host: &str, later: Duration) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM")).expect("an authority");
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().expect("roots");
        let leaf = authority.issue(&Host::parse(host).expect("a host")).expect("a certificate");
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let now = UnixTime::since_unix_epoch(
            UnixTime::now().as_secs().checked_add(later.as_secs()).map(Duration::from_secs).expect("soon"),
        );
        verifier.verify_server_cert(&leaf.cert[0], &[], &name, &[], now).is_ok()
    }

    #[test]
    fn an_authority_is_believed_for_the_hosts_of_its_rules_alone() {
        let names = ["* https://api.example.com/*", "* https://*.wild.example/*"];
        let addresses = ["* https://10.0.0.5/*", "* https://[2001:db8::1]/*"];
        let both = [names[0], addresses[0]];
        let cases: [(&[&str], &[&str], &[&str]); 4] = [
            (&names, &["api.example.com", "a.b.wild.example"], &["example.com", "xapi.example.com", "10.0.0.5", "::1"]),
            (&addresses, &["10.0.0.5", "2001:db8::1"], &["10.0.0.6", "2001:db8::2", "api.example.com", "localhost"]),
            (&both, &["api.example.com", "10.0.0.5"], &["other.example.com", "10.0.0.6", "2001:db8::1"]),
            (&[], &[], &["api.example.com", "10.0.0.5"]),
        ];
        for (rules, believed, not_believed) in cases {
            let authority = authority(rules);

            for host in believed {
                assert!(is_believed(&authority, host, Duration::ZERO), "{rules:?} {host}");
            }
            for host in not_believed {
                assert!(!is_believed(&authority, host, Duration::ZERO), "{rules:?} {host}");
            }
        }
    }

    #[test]
    fn an_authority_is_believed_for_its_lifetime() {
        let authority = authority(&["* https://api.example.com/*"]);

        assert!(is_believed(&authority, "api.example.com", Duration::from_secs(30)));
        assert!(!is_believed(&authority, "api.example.com", Duration::from_secs(90)));
    }
}
