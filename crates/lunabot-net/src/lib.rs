//! What goes to other machines: one HTTP client, set up once, for whoever asks the web something (steps, pollers,
//! hooks, functions of the configuration), and the TLS of ports that others come to.
//!
//! Connections and certificates are found here, and the limits that keep a strange server from hurting the master. What
//! must never enter: what is asked of whom, and why.

pub mod http;
pub mod tls;

pub use reqwest;

/// Makes the cryptography of `ring` that of this process. Whoever makes a TLS configuration calls it first; again does
/// no harm.
pub fn install_crypto() {
    // An error says that it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
