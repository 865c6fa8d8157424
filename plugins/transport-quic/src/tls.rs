//! The envelope: TLS 1.3 with a certificate that nobody verifies.

use std::sync::Arc;
use std::time::Duration;

use ntm_core::plugin::PluginError;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ClientConfig, EndpointConfig, ServerConfig, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use crate::Config;
use crate::error::internal;

/// The protocol inside, as TLS names it (RFC 7301).
const ALPN: &[u8] = b"ntm/1";

/// What a path is taken to carry before it has shown more: 1,500 bytes and some of
/// what others put around packets.
pub(crate) const INITIAL_MTU: u16 = 1400;

/// What a DATAGRAM frame and its packet add: a byte of header, 8 of connection ID, 4
/// of packet number, the tag, and the frame's type and length.
pub(crate) const OVERHEAD: u16 = 1 + 8 + 4 + 16 + 9;

/// Streams, and with them packets that fit no frame, under way from one peer.
const STREAMS: u32 = 64;

/// Datagrams that wait in one connection for the path to take them: some 50 ms at 40
/// Mbit/s. More would only be old when it arrives.
const SEND_BUFFER: usize = 256 << 10;
const RECEIVE_BUFFER: usize = 2 << 20;

/// How connections are made and taken.
pub(crate) struct Terms {
    pub(crate) endpoint: EndpointConfig,
    pub(crate) server: ServerConfig,
    pub(crate) client: ClientConfig,
}

impl Terms {
    /// With a certificate made now.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(crate) fn new(config: &Config) -> Result<Self, PluginError> {
        Self::over(transport(config)?)
    }

    /// For paths that carry no more than QUIC asks for (RFC 9000, section 14).
    #[cfg(test)]
    pub(crate) fn narrow(config: &Config) -> Result<Self, PluginError> {
        let mut transport = transport(config)?;
        transport.initial_mtu(1200).mtu_discovery_config(None);
        Self::over(transport)
    }

    fn over(transport: TransportConfig) -> Result<Self, PluginError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let transport = Arc::new(transport);
        let mut endpoint = EndpointConfig::default();
        // Byte 0 tells QUIC from everything else that may share the port.
        endpoint.grease_quic_bit(false);
        let mut server = ServerConfig::with_crypto(Arc::new(accepting(&provider)?));
        server.transport_config(transport.clone());
        let mut client = ClientConfig::new(Arc::new(calling(&provider)?));
        client.transport_config(transport);
        Ok(Self { endpoint, server, client })
    }
}

fn transport(config: &Config) -> Result<TransportConfig, PluginError> {
    let idle = Duration::from_secs(config.idle_s);
    let idle = idle.try_into().map_err(|error| internal("set the idle time-out", &error))?;
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(Some(idle))
        .initial_mtu(INITIAL_MTU)
        // Until it is measured: a lost first packet is repeated after 3 × this.
        .initial_rtt(Duration::from_millis(100))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS))
        .stream_receive_window(VarInt::from_u32(4096))
        .receive_window(VarInt::from_u32(STREAMS * 4096))
        .datagram_receive_buffer_size(Some(RECEIVE_BUFFER))
        .datagram_send_buffer_size(SEND_BUFFER);
    Ok(transport)
}

fn accepting(provider: &Arc<CryptoProvider>) -> Result<QuicServerConfig, PluginError> {
    let made = rcgen::generate_simple_self_signed(Vec::new())
        .map_err(|error| internal("make a certificate", &error))?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let mut tls = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|tls| {
            tls.with_no_client_auth().with_single_cert(vec![made.cert.into()], key.into())
        })
        .map_err(|error| internal("set up TLS", &error))?;
    tls.alpn_protocols = vec![ALPN.to_vec()];
    // Nothing of a connection outlives it.
    tls.send_tls13_tickets = 0;
    QuicServerConfig::try_from(tls).map_err(|error| internal("set up QUIC", &error))
}

fn calling(provider: &Arc<CryptoProvider>) -> Result<QuicClientConfig, PluginError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| internal("set up TLS", &error))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider.clone())))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    // The name would be the same for every node, and tell observers so.
    tls.enable_sni = false;
    QuicClientConfig::try_from(tls).map_err(|error| internal("set up QUIC", &error))
}

/// Takes every certificate.
///
/// A node is known by its Noise key alone, and everything that is carried is
/// authenticated and encrypted under keys that follow from it. Who stands between
/// two nodes and answers with a certificate of his own sees what he would see
/// without TLS: capsules and signalling, sealed. Certificates that mean something would
/// need names and authorities that a domain does not have, and be a second identity
/// beside the first.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
