//! The name in a client's certificate. Only this process reads the certificate: a process with
//! privilege is told the name, and parses nothing that came from the network (invariant I1).

use ipc::bounded::Bytes;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The common name of a certificate. Empty when it has none, or several, or one longer than 255
/// bytes: such a certificate is nobody's.
pub fn common_name(der: &[u8]) -> Bytes<255> {
    let name = X509Certificate::from_der(der).ok().and_then(|(_, certificate)| {
        let mut names = certificate.subject().iter_common_name();
        let (first, second) = (names.next()?, names.next());
        let name = first.as_str().ok()?.as_bytes().to_vec();
        second.is_none().then_some(name)
    });
    Bytes::try_from(name.unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[(DnType, &str)]) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["alice.example.net".into()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, name) in names {
            params.distinguished_name.push(kind.clone(), *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    #[test]
    fn the_one_common_name_is_the_name() {
        let der = certificate(&[(DnType::OrganizationName, "bob"), (DnType::CommonName, "alice")]);
        assert_eq!(common_name(&der).as_slice(), b"alice");
    }

    #[test]
    fn a_certificate_without_a_usable_name_is_nobodys() {
        assert_eq!(common_name(&certificate(&[])).as_slice(), b"");
        assert_eq!(common_name(&certificate(&[(DnType::OrganizationName, "bob")])).as_slice(), b"");
        let long = "a".repeat(256);
        assert_eq!(common_name(&certificate(&[(DnType::CommonName, &long)])).as_slice(), b"");
        assert_eq!(common_name(b"no certificate").as_slice(), b"");
        assert_eq!(common_name(b"").as_slice(), b"");
    }
}
