//! Where data connections go: PORT, EPRT and EPSV.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use super::{
    Argument,
    ArgumentError::{self, Syntax},
    number,
};

/// PORT (RFC 959 section 4.1.2): six numbers below 256.
///
/// # Errors
/// `Syntax`.
pub fn host_port(argument: &[u8]) -> Argument<SocketAddrV4> {
    const ERROR: ArgumentError = Syntax("PORT needs h1,h2,h3,h4,p1,p2, each from 0 to 255.");
    let mut bytes = [0u8; 6];
    let mut fields = argument.trim_ascii().split(|byte| *byte == b',');
    for byte in &mut bytes {
        let field = fields.next().and_then(number).ok_or(ERROR)?;
        *byte = u8::try_from(field).map_err(|_| ERROR)?;
    }
    if fields.next().is_some() {
        return Err(ERROR);
    }
    let [a, b, c, d, high, low] = bytes;
    Ok(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])))
}

/// EPRT (RFC 2428 section 2): `|1|192.0.2.1|6275|` or `|2|2001:db8::1|5282|`.
///
/// # Errors
/// `Syntax`, or `Protocol` for a family other than 1 and 2.
pub fn extended_port(argument: &[u8]) -> Argument<SocketAddr> {
    const ERROR: ArgumentError =
        Syntax("EPRT needs |1|IPv4 address|port| or |2|IPv6 address|port|.");
    let argument = argument.trim_ascii();
    let delimiter = *argument.first().ok_or(ERROR)?;
    if !(33..=126).contains(&delimiter) {
        return Err(ERROR);
    }
    let mut fields = argument.split(|byte| *byte == delimiter);
    let parts = [fields.next(), fields.next(), fields.next(), fields.next(), fields.next()];
    let [Some(b""), Some(family), Some(address), Some(port), Some(b"")] = parts else {
        return Err(ERROR);
    };
    if fields.next().is_some() {
        return Err(ERROR);
    }
    let family = number(family).ok_or(ERROR)?;
    let address = std::str::from_utf8(address).map_err(|_| ERROR)?;
    let address = match family {
        1 => IpAddr::V4(address.parse::<Ipv4Addr>().map_err(|_| ERROR)?),
        2 => IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| ERROR)?),
        _ => return Err(ArgumentError::Protocol),
    };
    let port = number(port).and_then(|port| u16::try_from(port).ok()).ok_or(ERROR)?;
    if port == 0 {
        return Err(ERROR);
    }
    Ok(SocketAddr::new(address, port))
}

/// What EPSV asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtendedPassive {
    /// A listener of the control connection's family.
    Any,
    /// A listener for IPv4.
    V4,
    /// A listener for IPv6.
    V6,
    /// No more PORT, PASV or EPRT on this connection.
    All,
}

/// EPSV (RFC 2428 section 3).
///
/// # Errors
/// `Syntax`, or `Protocol` for a family other than 1 and 2.
pub fn extended_passive(argument: &[u8]) -> Argument<ExtendedPassive> {
    match argument.trim_ascii() {
        b"" => Ok(ExtendedPassive::Any),
        b"1" => Ok(ExtendedPassive::V4),
        b"2" => Ok(ExtendedPassive::V6),
        all if all.eq_ignore_ascii_case(b"ALL") => Ok(ExtendedPassive::All),
        other if number(other).is_some() => Err(ArgumentError::Protocol),
        _ => Err(Syntax("EPSV needs nothing, 1, 2 or ALL.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax<T: std::fmt::Debug>(result: Argument<T>) -> bool {
        matches!(result, Err(Syntax(_)))
    }

    #[test]
    fn port_takes_six_numbers_below_256() {
        assert_eq!(host_port(b"127,0,0,1,4,1"), Ok("127.0.0.1:1025".parse().unwrap()));
        for wrong in
            ["", "1,2,3,4,5", "1,2,3,4,5,6,7", "256,0,0,1,4,1", "a,0,0,1,4,1", "1,,3,4,5,6"]
        {
            assert!(syntax(host_port(wrong.as_bytes())), "{wrong}");
        }
    }

    #[test]
    fn eprt_takes_both_families_and_any_delimiter() {
        assert_eq!(extended_port(b"|1|127.0.0.1|1025|"), Ok("127.0.0.1:1025".parse().unwrap()));
        assert_eq!(extended_port(b"!2!::1!1025!"), Ok("[::1]:1025".parse().unwrap()));
        assert_eq!(extended_port(b"|3|::1|1025|"), Err(ArgumentError::Protocol));
        for wrong in
            ["", "|", "|1|::1|1025|", "|1|127.0.0.1|0|", "|1|127.0.0.1|65536|", "|1|127.0.0.1|1"]
        {
            assert!(syntax(extended_port(wrong.as_bytes())), "{wrong}");
        }
    }

    #[test]
    fn epsv_tells_wrong_from_not_possible() {
        assert_eq!(extended_passive(b"all"), Ok(ExtendedPassive::All));
        assert_eq!(extended_passive(b""), Ok(ExtendedPassive::Any));
        assert_eq!(extended_passive(b"3"), Err(ArgumentError::Protocol));
        assert!(syntax(extended_passive(b"x")));
    }
}
