use std::sync::Arc;

use ntm_core::plugin::{Fault, PluginError};
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error, PeerIncompatible, ServerConfig, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How connections are made and taken.
pub(crate) struct Terms {
    pub(crate) connector: TlsConnector,
    pub(crate) acceptor: TlsAcceptor,
}

impl Terms {
    /// With a certificate made now.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn new() -> Result<Self, PluginError> {
        // Given explicitly: what is the default of a process is a matter of the host.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let acceptor = accepting(&provider).map_err(|error| cannot("set up TLS", &error))?;
        let connector = calling(&provider).map_err(|error| cannot("set up TLS", &error))?;
        Ok(Self { connector: Arc::new(connector).into(), acceptor: Arc::new(acceptor).into() })
    }
}

fn cannot(what: &str, error: &dyn std::error::Error) -> PluginError {
    PluginError::new(Fault::System, format!("cannot {what}: {error}"), "use another transport")
}

fn accepting(provider: &Arc<CryptoProvider>) -> Result<ServerConfig, Error> {
    let made = rcgen::generate_simple_self_signed(Vec::new())
        .map_err(|error| Error::General(error.to_string()))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.into()], key.into())?;
    // Nothing of a connection outlives it.
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

fn calling(provider: &Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let mut tls = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider.clone())))
        .with_no_client_auth();
    tls.resumption = Resumption::disabled();
    // There is no name to tell.
    tls.enable_sni = false;
    Ok(tls)
}

/// Takes every certificate: a node is known by the key of the session inside, and whoever
/// stands between two nodes sees what he would see without TLS, sealed capsules.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
