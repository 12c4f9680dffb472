//! Places beside the agent port that browsers come back to: for clients that are registered with
//! another address of this machine, and for servers that take any port of it (RFC 8252 §7.3). One is
//! open from the beginning of a sign-in to its end (protocol.md OC-46, OC-47). The socket is taken
//! here, since its port goes into the authorization request; whoever serves pages answers on it.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};

use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{LandingPlan, LoopbackHost};

/// A place that is open, for whoever answers there.
#[derive(Debug)]
pub struct Landing {
    /// Its sockets: one for each address that its name may stand for.
    pub listeners: Vec<TcpListener>,
    /// The one path that is answered.
    pub path: String,
    /// Cancelled when nobody is waited for any more.
    pub over: CancellationToken,
}

/// To whoever answers there.
#[derive(Clone, Debug)]
pub struct Landings(mpsc::UnboundedSender<Landing>);

impl Landings {
    /// The way to whoever answers, and their end of it.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Landing>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Opens a place: at the port that the client is registered with, else at one of `known`, which
    /// earlier registrations have, else at any.
    pub(super) fn open(&self, plan: &LandingPlan, known: &[u16]) -> io::Result<Landed> {
        let mut missed = None;
        let registered = plan.registered.iter().map(|place| place.port);
        for port in registered.chain(known.iter().copied()) {
            match listen(plan.host, port) {
                Ok(listeners) => return self.at(plan, listeners, None),
                Err(error) => {
                    missed.get_or_insert_with(|| (port, error.to_string()));
                }
            }
        }
        let listeners = listen(plan.host, 0)?;
        let missed = missed.filter(|_| plan.registered.is_some());
        self.at(plan, listeners, missed)
    }

    fn at(
        &self,
        plan: &LandingPlan,
        listeners: Vec<TcpListener>,
        missed: Option<(u16, String)>,
    ) -> io::Result<Landed> {
        let port = match listeners.first() {
            Some(listener) => listener.local_addr()?.port(),
            None => return Err(io::ErrorKind::AddrNotAvailable.into()),
        };
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        let landing = Landing {
            listeners,
            path: plan.path.clone(),
            over,
        };
        // Without anybody who answers, the daemon is about to end.
        self.0
            .send(landing)
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        let uri = plan.uri(port);
        Ok(Landed {
            missed: missed.map(|(port, why)| Missed {
                port,
                why,
                uri: uri.clone(),
            }),
            uri,
            guard,
        })
    }
}

/// A place that is open, for the sign-in that it is for: it closes when this is dropped.
#[derive(Debug)]
pub(super) struct Landed {
    /// The redirect URI.
    pub(super) uri: String,
    /// Why it is not the one that the client is registered with.
    pub(super) missed: Option<Missed>,
    guard: DropGuard,
}

impl Landed {
    /// What keeps it open.
    pub(super) fn into_guard(self) -> DropGuard {
        self.guard
    }
}

/// A registered port that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missed {
    /// Which.
    pub port: u16,
    /// Why not.
    pub why: String,
    /// Where the browser comes back to instead.
    pub uri: String,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, why, uri } = self;
        write!(
            f,
            "port {port} of auth.redirect cannot be used ({why}), so the browser comes back to {uri}; \
             a server that compares ports, against RFC 8252 §7.3, refuses that"
        )
    }
}

/// The sockets at `port`; at any free one where that is 0.
fn listen(host: LoopbackHost, port: u16) -> io::Result<Vec<TcpListener>> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    if host == LoopbackHost::Address {
        return Ok(vec![first]);
    }
    // Browsers may take the name for either address.
    match TcpListener::bind((Ipv6Addr::LOCALHOST, first.local_addr()?.port())) {
        Ok(second) => Ok(vec![first, second]),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && port != 0 => Err(error),
        // This machine has no such address, or somebody else has the port there: nobody was
        // promised it.
        Err(_) => Ok(vec![first]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Registered;

    fn plan(host: LoopbackHost, registered: Option<u16>) -> LandingPlan {
        LandingPlan {
            host,
            path: "/cb".to_owned(),
            registered: registered.map(|port| Registered {
                uri: format!("http://{}:{port}/cb", host.as_str()),
                host,
                port,
                path: "/cb".to_owned(),
            }),
        }
    }

    fn free() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").port()
    }

    #[test]
    fn oc_redirect_port_strategy() {
        let (landings, mut opened) = Landings::channel();
        let port = free();
        let first = landings
            .open(&plan(LoopbackHost::Address, Some(port)), &[])
            .expect("open");
        assert_eq!(first.uri, format!("http://127.0.0.1:{port}/cb"));
        assert_eq!(first.missed, None);
        // Taken: any other, and it is said why that may not do.
        let second = landings
            .open(&plan(LoopbackHost::Name, Some(port)), &[])
            .expect("open");
        let missed = second.missed.clone().expect("told").to_string();
        assert!(second.uri.starts_with("http://localhost:"), "{second:?}");
        assert!(!second.uri.contains(&port.to_string()), "{second:?}");
        assert!(
            missed.contains(&format!("port {port} of auth.redirect")),
            "{missed}"
        );
        // One of an earlier registration comes before any other.
        let known = free();
        let third = landings
            .open(&plan(LoopbackHost::Address, None), &[port, known])
            .expect("open");
        assert_eq!(third.uri, format!("http://127.0.0.1:{known}/cb"));
        assert_eq!(third.missed, None);
        let over = opened.try_recv().expect("handed over").over;
        assert!(!over.is_cancelled());
        drop(first.into_guard());
        assert!(over.is_cancelled(), "it closes with its sign-in");
    }
}
