use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error};

use crate::leaf::spoken;
use crate::trust::TrustError;

/// What a failed handshake means for the operator, and who is to blame.
pub fn explain_tls(error: &Error) -> String {
    let ago = |late: u64, early: u64| spoken(Duration::from_secs(late.saturating_sub(early)));
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => format!(
            "the peer's certificate expired {} ago; check the clocks of both machines, and that the peer reaches the authority to renew",
            ago(time.as_secs(), not_after.as_secs())
        ),
        Error::InvalidCertificate(CertificateError::NotValidYetContext { time, not_before }) => format!(
            "the peer's certificate is valid only in {}; check the clocks of both machines",
            ago(not_before.as_secs(), time.as_secs())
        ),
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "the peer's certificate is not of this mesh; it belongs to another mesh or to a stranger"
                .to_owned()
        }
        Error::InvalidCertificate(CertificateError::Revoked) => {
            "the peer's certificate was revoked; an operator of the mesh took it back".to_owned()
        }
        Error::InvalidCertificate(CertificateError::Other(reason)) => reason.to_string(),
        Error::NoCertificatesPresented => TrustError::NoCertificate.to_string(),
        Error::AlertReceived(alert) => explain_alert(*alert),
        other => other.to_string(),
    }
}

fn explain_alert(alert: AlertDescription) -> String {
    match alert {
        AlertDescription::CertificateExpired => {
            "the peer holds our certificate for expired or not yet valid; check the clocks of both machines, and that this agent reaches the authority to renew".to_owned()
        }
        AlertDescription::UnknownCA => {
            "the peer holds our certificate for one of another mesh; check that both joined the same one".to_owned()
        }
        AlertDescription::CertificateRevoked => {
            "our certificate was revoked; an operator of the mesh took it back".to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "the peer speaks another version of AIRE's protocols; use the same release on both".to_owned()
        }
        other => format!("the peer refused the connection with the TLS alert {other:?}"),
    }
}
