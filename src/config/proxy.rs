//! The way out of the network.

use std::fmt;

use crate::egress::Egress;

/// Through which proxy TLS connections go.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxy(Option<Through>);

#[derive(Clone, PartialEq, Eq)]
struct Through {
    address: String,
    exceptions: String,
}

impl Proxy {
    /// The one at `address`, save to the hosts of `exceptions`.
    pub fn through(address: impl Into<String>, exceptions: &str) -> Self {
        Self(Some(Through {
            address: address.into(),
            exceptions: exceptions.to_owned(),
        }))
    }

    /// The way itself.
    pub fn egress(&self) -> Egress {
        match &self.0 {
            Some(through) => Egress::through(&through.address, &through.exceptions),
            None => Egress::direct(),
        }
    }
}

impl fmt::Debug for Proxy {
    /// Its address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.0.is_some() {
            "Through"
        } else {
            "Direct"
        };
        f.write_str(word)
    }
}
