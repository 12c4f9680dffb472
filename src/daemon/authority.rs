//! The way of each upstream to its authorization server: with the trust and through the proxy
//! that its own calls have.

use std::rc::Rc;
use std::sync::Arc;

use crate::actor::AuthorityFactory;
use crate::clock::{Clock, Random};
use crate::config::Upstream;
use crate::egress::Egress;
use crate::http::{OwnClient, Timeouts, TlsSettings, client_config};
use crate::oauth::{Authority, OauthAuthority};

pub(super) fn factory(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> AuthorityFactory {
    let platform = client_config(&TlsSettings::default());
    Arc::new(move |upstream: Option<&Upstream>| {
        let own = upstream.map(|upstream| TlsSettings {
            ca_file: upstream.tls.ca_file.clone(),
            client: upstream
                .tls
                .client
                .as_ref()
                .map(|own| (own.cert.clone(), own.key.clone())),
        });
        let certified = own.as_ref().is_some_and(|own| own.client.is_some());
        let tls = match own {
            Some(own) if own.ca_file.is_some() || own.client.is_some() => client_config(&own),
            _ => platform.clone(),
        };
        let egress = upstream.map_or_else(Egress::direct, |upstream| upstream.proxy.egress());
        let client = OwnClient::new(tls, Arc::clone(&clock), Timeouts::default()).through(egress);
        let authority = OauthAuthority::new(client, Arc::clone(&clock), Arc::clone(&random));
        Rc::new(authority.certified(certified)) as Rc<dyn Authority>
    })
}
