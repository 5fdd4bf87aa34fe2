//! Certificates made for a test: whoever issued them, whenever they hold, whatever is wrong with them.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, date_time_ymd,
};

/// Where they lie.
pub(crate) const FOLDER: &str = "/mnt/papers";

/// Writes a file there.
pub(crate) fn write(name: &str, text: &str) {
    std::fs::create_dir_all(FOLDER).expect("a folder");
    std::fs::write(format!("{FOLDER}/{name}"), text).expect("writes");
}

/// What a certificate says.
#[derive(Clone, Copy)]
pub(crate) struct Paper {
    /// Its common name, and its DNS name.
    pub(crate) name: &'static str,
    /// The year it begins with.
    pub(crate) from: i32,
    /// The year it ends with.
    pub(crate) until: i32,
    /// Whether it is for clients, for servers, or says nothing.
    pub(crate) purpose: Option<Purpose>,
}

/// What it is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Clients,
    Servers,
}

impl Paper {
    /// One with nothing odd about it.
    pub(crate) fn named(name: &'static str) -> Paper {
        Paper { name, from: 2020, until: 2090, purpose: None }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(vec![self.name.to_owned()]).expect("params");
        params.distinguished_name = common(self.name);
        params.not_before = date_time_ymd(self.from, 1, 1);
        params.not_after = date_time_ymd(self.until, 1, 1);
        params.extended_key_usages = match self.purpose {
            None => Vec::new(),
            Some(Purpose::Clients) => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Some(Purpose::Servers) => vec![ExtendedKeyUsagePurpose::ServerAuth],
        };
        params
    }
}

fn common(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

/// A certificate and its key, in PEM.
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Issued {
    /// As `smtpd_tls_chain_files` wants them.
    pub(crate) fn both(&self) -> String {
        format!("{}{}", self.key, self.certificate)
    }
}

/// Somebody who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    own: Issued,
}

/// The years in which authorities hold.
const YEARS: (i32, i32) = (2020, 2095);

fn authority(name: &str, (from, until): (i32, i32)) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("params");
    params.distinguished_name = common(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    params
}

impl Authority {
    /// One that nobody vouches for.
    pub(crate) fn new(name: &str) -> Authority {
        let (params, key) = (authority(name, YEARS), KeyPair::generate().expect("a key"));
        let own =
            Issued { certificate: params.self_signed(&key).expect("signs").pem(), key: key.serialize_pem() };
        Authority { issuer: Issuer::new(params, key), own }
    }

    /// One below this one.
    pub(crate) fn names(&self, name: &str) -> Authority {
        self.names_for(name, YEARS)
    }

    /// The same, for some years.
    pub(crate) fn names_for(&self, name: &str, years: (i32, i32)) -> Authority {
        let (params, key) = (authority(name, years), KeyPair::generate().expect("a key"));
        let own = Issued {
            certificate: params.signed_by(&key, &self.issuer).expect("signs").pem(),
            key: key.serialize_pem(),
        };
        Authority { issuer: Issuer::new(params, key), own }
    }

    /// A certificate of this one's.
    pub(crate) fn issues(&self, paper: &Paper) -> Issued {
        let key = KeyPair::generate().expect("a key");
        let certificate = paper.params().signed_by(&key, &self.issuer).expect("signs").pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A certificate by somebody who has one of this authority's and may issue none: his, and it.
    pub(crate) fn issues_through(&self, paper: &Paper) -> (String, Issued) {
        let key = KeyPair::generate().expect("a key");
        let leaf = Paper::named("clerk.example").params();
        let certificate = leaf.signed_by(&key, &self.issuer).expect("signs").pem();
        let by_leaf = Authority {
            issuer: Issuer::new(leaf, key),
            own: Issued { certificate: certificate.clone(), key: String::new() },
        };
        (certificate, by_leaf.issues(paper))
    }

    /// Its own certificate and key.
    pub(crate) fn own(&self) -> &Issued {
        &self.own
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.own.certificate.clone()
    }

    /// With its key.
    pub(crate) fn both(&self) -> String {
        self.own.both()
    }
}
