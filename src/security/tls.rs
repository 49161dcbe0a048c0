//! TLS: from files and choices to what a handshake needs.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CipherSuite, Error, InconsistentKeys, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
    version,
};

/// Bytes of the longest file that is read: far more than all authorities of a distribution need.
const LONGEST_FILE: u64 = 4 << 20;
/// Files of a folder of authorities.
const FILES_MOST: usize = 4096;

/// Whether clients show certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// They are not asked.
    None,
    /// One that they show has to be good.
    Optional,
    /// They have to.
    Required,
}

/// What a server's TLS is made of.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// The file of the certificate and those that lead to its authority.
    pub certificate: &'a Path,
    /// The file of its key.
    pub key: &'a Path,
    /// The file of the authorities of clients; empty for none.
    pub authorities: &'a Path,
    /// The folder of such files; empty for none.
    pub authorities_folder: &'a Path,
    /// Whether clients show certificates.
    pub demand: Demand,
    /// `TLSv1.2`, `TLSv1.3`; none for both.
    pub protocols: &'a [&'static str],
    /// Ciphers of TLS 1.2 by their OpenSSL names; none for all.
    pub ciphers: &'a [&'static str],
    /// Ciphers of TLS 1.3; none for all.
    pub suites: &'a [&'static str],
    /// Whether the server's order of ciphers decides.
    pub own_order: bool,
    /// Sessions that are kept to be resumed; 0 for none.
    pub sessions: usize,
}

/// Makes what handshakes need.
///
/// # Errors
/// A sentence that names the file or the choice that is wrong, with the remedy.
pub fn build(recipe: &Recipe<'_>) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(recipe)?);
    let versions: Vec<&'static SupportedProtocolVersion> = match recipe.protocols {
        [] => vec![&version::TLS13, &version::TLS12],
        chosen => {
            chosen.iter().map(|name| if *name == "TLSv1.2" { &version::TLS12 } else { &version::TLS13 }).collect()
        }
    };
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(|error| format!("no connection could come about: {error}; correct tls-protocols and the ciphers"))?;
    let builder = match verifier(recipe, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity(recipe, &provider)?)));
    config.ignore_client_order = recipe.own_order;
    config.session_storage = match recipe.sessions {
        0 => Arc::new(NoServerSessionStorage {}),
        count => ServerSessionMemoryCache::new(count),
    };
    if recipe.sessions == 0 {
        config.send_tls13_tickets = 0;
    }
    Ok(Arc::new(config))
}

/// The ciphers in their order.
fn provider(recipe: &Recipe<'_>) -> Result<CryptoProvider, String> {
    let mut provider = ring::default_provider();
    let (newer, older): (Vec<_>, Vec<_>) =
        provider.cipher_suites.drain(..).partition(|suite| matches!(suite, SupportedCipherSuite::Tls13(_)));
    let choose = |known: Vec<SupportedCipherSuite>, names: &[&'static str]| {
        if names.is_empty() {
            return Ok(known);
        }
        let find = |name: &&'static str| {
            let found = known.iter().find(|suite| suite_of(name) == Some(suite.suite()));
            found.copied().ok_or_else(|| format!("the cipher {name} is not known"))
        };
        names.iter().map(find).collect::<Result<Vec<_>, String>>()
    };
    provider.cipher_suites = [choose(newer, recipe.suites)?, choose(older, recipe.ciphers)?].concat();
    Ok(provider)
}

fn suite_of(name: &str) -> Option<CipherSuite> {
    Some(match name {
        "TLS_AES_256_GCM_SHA384" => CipherSuite::TLS13_AES_256_GCM_SHA384,
        "TLS_AES_128_GCM_SHA256" => CipherSuite::TLS13_AES_128_GCM_SHA256,
        "TLS_CHACHA20_POLY1305_SHA256" => CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
        "ECDHE-ECDSA-AES256-GCM-SHA384" => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-ECDSA-AES128-GCM-SHA256" => CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-ECDSA-CHACHA20-POLY1305" => CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        "ECDHE-RSA-AES256-GCM-SHA384" => CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "ECDHE-RSA-AES128-GCM-SHA256" => CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "ECDHE-RSA-CHACHA20-POLY1305" => CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        _ => return None,
    })
}

/// The server's certificate with its key.
fn identity(recipe: &Recipe<'_>, provider: &CryptoProvider) -> Result<CertifiedKey, String> {
    let (certificate, key) = (recipe.certificate.display(), recipe.key.display());
    let chain = certificates(recipe.certificate)?;
    if chain.is_empty() {
        return Err(format!("{certificate} has no certificate in PEM; correct tls-cert-file"));
    }
    let pem = read(recipe.key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        let encrypted = String::from_utf8_lossy(&pem).contains("ENCRYPTED");
        let remedy = if encrypted { "decrypt it first" } else { "correct tls-key-file" };
        format!("{key} has no private key in PEM that can be used; {remedy}")
    })?;
    let signing = provider.key_provider.load_private_key(private);
    let signing = signing.map_err(|error| format!("the key in {key} cannot be used: {error}"))?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => {
            Err(format!("the key in {key} is not that of the certificate in {certificate}; set both in one CONFIG SET"))
        }
        Err(Error::InvalidCertificate(rustls::CertificateError::BadEncoding)) => {
            Err(format!("the certificate in {certificate} is damaged"))
        }
        // Whatever else is not to the taste of rustls, such as version 1, is for the clients to judge.
        _ => Ok(certified),
    }
}

/// What looks at the certificates of clients.
fn verifier(
    recipe: &Recipe<'_>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    if recipe.demand == Demand::None {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    let is_given = |path: &Path| !path.as_os_str().is_empty();
    if is_given(recipe.authorities) {
        let found = certificates(recipe.authorities)?;
        let file = recipe.authorities.display();
        if found.is_empty() {
            return Err(format!("{file} has no certificate in PEM; correct tls-ca-cert-file"));
        }
        for one in found {
            roots.add(one).map_err(|error| format!("an authority in {file} cannot be used: {error}"))?;
        }
    }
    if is_given(recipe.authorities_folder) {
        for found in folder(recipe.authorities_folder)? {
            // A folder of a distribution may have a few that nobody can use.
            roots.add_parsable_certificates(found);
        }
    }
    if roots.is_empty() {
        return Err("there is no authority for the certificates of clients; correct tls-ca-cert-file and \
                    tls-ca-cert-dir, or set tls-auth-clients to no"
            .to_owned());
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if recipe.demand == Demand::Optional { builder.allow_unauthenticated() } else { builder };
    let verifier = builder.build().map_err(|error| format!("certificates of clients cannot be checked: {error}"))?;
    Ok(Some(verifier))
}

/// The certificates of all files of a folder, file by file; files that have none are passed over.
fn folder(path: &Path) -> Result<Vec<Vec<CertificateDer<'static>>>, String> {
    let failure = |error: std::io::Error| format!("cannot read {}: {error}; correct tls-ca-cert-dir", path.display());
    let mut found = Vec::new();
    for (number, entry) in std::fs::read_dir(path).map_err(failure)?.enumerate() {
        if number == FILES_MOST {
            return Err(format!("{} has more than {FILES_MOST} files; correct tls-ca-cert-dir", path.display()));
        }
        found.extend(certificates(&entry.map_err(failure)?.path()).ok());
    }
    Ok(found)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = read(path)?;
    let found = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    found.map_err(|error| format!("{} is no PEM: {error}", path.display()))
}

/// Reads a file. One that is no plain file might never end, or never begin.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failure = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    if !std::fs::metadata(path).map_err(failure)?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failure)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(failure)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(format!("{} is longer than {LONGEST_FILE} bytes", path.display()));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A folder with the files of a server, removed at the end.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let folder = std::env::temp_dir().join(format!("roster-tls-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            let files = Files(folder);
            for name in ["one", "two"] {
                let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
                files.put(&format!("{name}.crt"), &made.cert.pem());
                files.put(&format!("{name}.key"), &made.signing_key.serialize_pem());
            }
            files
        }

        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).expect("written");
            path
        }

        /// Builds from these files, with what `change` does to the recipe.
        fn build(
            &self,
            certificate: &str,
            key: &str,
            change: impl Fn(&mut Recipe<'_>),
        ) -> Result<Arc<ServerConfig>, String> {
            let (certificate, key, none) = (self.0.join(certificate), self.0.join(key), PathBuf::new());
            let mut recipe = Recipe {
                certificate: &certificate,
                key: &key,
                authorities: &none,
                authorities_folder: &none,
                demand: Demand::None,
                protocols: &[],
                ciphers: &[],
                suites: &[],
                own_order: false,
                sessions: 16,
            };
            change(&mut recipe);
            build(&recipe)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn good_files_are_taken_and_bad_ones_named() {
        let files = Files::new("files");
        assert!(files.build("one.crt", "one.key", |_| ()).is_ok());
        files.put("empty", "");
        files.put("torn.crt", "-----BEGIN CERTIFICATE-----\nAAAA");
        files.put("locked.key", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
        files.put("garbage.crt", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        for (certificate, key, words) in [
            ("none", "one.key", "cannot read"),
            (".", "one.key", "is no file"),
            ("empty", "one.key", "has no certificate in PEM; correct tls-cert-file"),
            ("torn.crt", "one.key", "is no PEM"),
            ("garbage.crt", "one.key", "is damaged"),
            ("one.crt", "one.crt", "has no private key in PEM that can be used; correct tls-key-file"),
            ("one.crt", "locked.key", "decrypt it first"),
            ("one.crt", "two.key", "is not that of the certificate"),
        ] {
            let refusal = files.build(certificate, key, |_| ()).expect_err(certificate);
            assert!(refusal.contains(words), "{certificate} {key}: {refusal}");
        }
    }

    #[test]
    fn clients_are_checked_by_the_authorities_that_there_are() {
        let files = Files::new("authorities");
        let (file, folder, empty) = (files.0.join("two.crt"), files.0.clone(), files.0.join("empty"));
        std::fs::create_dir(&empty).expect("a folder");
        for demand in [Demand::Optional, Demand::Required] {
            let with = |file: &Path, folder: &Path| {
                // The paths outlive the recipe by being leaked: a closure cannot lend them.
                let (file, folder): (&'static Path, &'static Path) =
                    (Box::leak(file.to_path_buf().into()), Box::leak(folder.to_path_buf().into()));
                files.build("one.crt", "one.key", |recipe| {
                    (recipe.demand, recipe.authorities, recipe.authorities_folder) = (demand, file, folder);
                })
            };
            let none = Path::new("");
            assert!(with(&file, none).is_ok() && with(none, &folder).is_ok() && with(&file, &folder).is_ok());
            assert!(with(none, none).expect_err("none").contains("there is no authority"));
            assert!(with(none, &empty).expect_err("none").contains("there is no authority"));
            assert!(with(&files.0.join("one.key"), none).expect_err("none").contains("correct tls-ca-cert-file"));
            assert!(with(none, &file).expect_err("no folder").contains("correct tls-ca-cert-dir"));
        }
    }

    #[test]
    fn choices_are_kept() {
        let files = Files::new("choices");
        let config = files.build("one.crt", "one.key", |recipe| {
            recipe.suites = &["TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256"];
            recipe.ciphers = &["ECDHE-RSA-AES128-GCM-SHA256"];
            (recipe.own_order, recipe.sessions) = (true, 0);
        });
        let config = config.expect("good");
        let names: Vec<_> = config.crypto_provider().cipher_suites.iter().map(SupportedCipherSuite::suite).collect();
        assert_eq!(
            names,
            [
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
                CipherSuite::TLS13_AES_128_GCM_SHA256,
                CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
            ]
        );
        assert!(config.ignore_client_order && config.send_tls13_tickets == 0);
        for protocols in [&["TLSv1.2"][..], &["TLSv1.3"], &["TLSv1.3", "TLSv1.2"]] {
            assert!(files.build("one.crt", "one.key", |recipe| recipe.protocols = protocols).is_ok());
        }
        let unknown = files.build("one.crt", "one.key", |recipe| recipe.ciphers = &["RC4"]);
        assert!(unknown.expect_err("unknown").contains("RC4"));
    }
}
