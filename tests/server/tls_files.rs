//! Certificates for tests, and clients that use them.

use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion, version};

use crate::support::{Client, Refused, Server, free_port, scratch};

/// Only TLS 1.3.
pub static NEW: [&SupportedProtocolVersion; 1] = [&version::TLS13];
/// Only TLS 1.2.
pub static OLD: [&SupportedProtocolVersion; 1] = [&version::TLS12];
static BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];

/// A folder with an authority and what it has signed, removed at the end.
pub struct Files {
    pub folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    /// An authority, and a certificate of the server.
    pub fn new(name: &str) -> Files {
        let folder = scratch(&format!("tls-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Files { folder, authority };
        files.put("ca.crt", &files.authority.pem());
        files.sign("server");
        files
    }

    /// Signs a certificate for localhost, for servers and clients, as `name.crt` with `name.key`.
    pub fn sign(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&key, &self.authority).unwrap();
        self.put(&format!("{name}.crt"), &signed.pem());
        self.put(&format!("{name}.key"), &key.serialize_pem());
    }

    fn put(&self, name: &str, text: &str) {
        std::fs::write(self.folder.join(name), text).unwrap();
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    /// The certificate in a file.
    pub fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.folder.join(name)).unwrap()
    }

    /// Starts a server that speaks TLS with these files and flags, and tells the port of that.
    pub fn serve(&self, flags: &[&str]) -> (Server, u16) {
        self.try_serve(flags).unwrap_or_else(|refused| panic!("the server did not start: {}", refused.log))
    }

    /// The same, or what the server said when it refused.
    pub fn try_serve(&self, flags: &[&str]) -> Result<(Server, u16), Refused> {
        let [cert, key, ca] = ["server.crt", "server.key", "ca.crt"].map(|name| self.path(name));
        loop {
            let port = free_port();
            let text = port.to_string();
            let own =
                ["--tls-port", &text, "--tls-cert-file", &cert, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
            match Server::try_start(&[&own[..], flags].concat()) {
                // Another test's server took the port after it was found free.
                Err(refused) if refused.log.contains(&format!(":{port}: Address already in use")) => (),
                result => return result.map(|server| (server, port)),
            }
        }
    }

    /// How a client behaves that trusts this authority.
    pub fn client(&self) -> Behaviour<'_> {
        Behaviour { files: self, versions: &BOTH, identity: None }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// How a client behaves.
#[derive(Clone, Copy)]
pub struct Behaviour<'a> {
    files: &'a Files,
    versions: &'static [&'static SupportedProtocolVersion],
    identity: Option<(&'a Files, &'a str)>,
}

impl<'a> Behaviour<'a> {
    /// Speaks only these versions.
    pub fn versions(mut self, versions: &'static [&'static SupportedProtocolVersion]) -> Self {
        self.versions = versions;
        self
    }

    /// Shows a certificate of some authority.
    pub fn showing(mut self, files: &'a Files, name: &'a str) -> Self {
        self.identity = Some((files, name));
        self
    }

    /// How rustls does it.
    pub fn config(self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.files.certificate("ca.crt")).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(self.versions).unwrap().with_root_certificates(roots);
        Arc::new(match self.identity {
            None => builder.with_no_client_auth(),
            Some((files, name)) => {
                let key = PrivateKeyDer::from_pem_file(files.folder.join(format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![files.certificate(&format!("{name}.crt"))], key).unwrap()
            }
        })
    }

    /// Connects.
    pub fn connect(self, port: u16) -> Client {
        connect(self.config(), TcpStream::connect(("127.0.0.1", port)).unwrap())
    }
}

/// Connects by a configuration that may be shared, so that sessions are resumed.
pub fn connect(config: Arc<ClientConfig>, stream: TcpStream) -> Client {
    stream.set_nodelay(true).unwrap();
    let client = ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
    Client::over_tls(StreamOwned::new(client, stream))
}
