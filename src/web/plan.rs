//! The configuration in the form that requests use: which doors there are, and every upstream
//! account under its path segments.

use std::net::SocketAddr;
use std::sync::Arc;

use foldhash::HashMap;

use super::guard::Doors;
use super::routes::{AgentName, Dialect, KeepAlive, RouteAuth, RouteEntry, RouteSpec, SignInTold};
use crate::config::{self, Auth, Config, LoginErrorForm, Tls, Upstream, UserAgent};
use crate::ledger::Ledger;
use crate::model::route::BadBase;
use crate::transport::{Limits, TlsTrust};

/// What is configured beside the upstreams.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    /// Which addresses and pages are ours.
    pub doors: Doors,
    /// Whether every request needs a session.
    pub require_session: bool,
    /// The longest request body.
    pub max_body: u64,
    /// The segment of the upstream behind `/`, `/mcp` and whatever has no other meaning.
    pub default_segment: Option<String>,
}

/// Everything that a request is judged and routed by.
pub struct Plan {
    /// Which addresses and pages are ours.
    pub doors: Doors,
    /// Whether every request needs a session.
    pub require_session: bool,
    /// The longest request body.
    pub max_body: u64,
    routes: HashMap<String, Arc<RouteEntry>>,
    default: Option<Arc<RouteEntry>>,
}

impl Plan {
    /// Prepares `upstreams`.
    pub fn new(
        spec: PlanSpec,
        upstreams: Vec<RouteSpec>,
        ledger: &Ledger,
    ) -> Result<Self, BadBase> {
        let mut routes = HashMap::default();
        for upstream in upstreams {
            let segments = upstream.segments.clone();
            let entry = Arc::new(RouteEntry::new(upstream, ledger)?);
            for segment in segments {
                routes.insert(segment, Arc::clone(&entry));
            }
        }
        let default = spec
            .default_segment
            .and_then(|name| routes.get(&name).cloned());
        Ok(Self {
            doors: spec.doors,
            require_session: spec.require_session,
            max_body: spec.max_body,
            routes,
            default,
        })
    }

    /// What `config` says, for a port that listens at `local`. An upstream whose address cannot be
    /// sent is left out; the check of the configuration refuses those.
    pub fn of_config(
        config: &Config,
        local: SocketAddr,
        ledger: &Ledger,
        platform: &TlsTrust,
    ) -> Result<Self, BadBase> {
        let server = &config.server;
        let mut doors = Doors::new(local, &server.allowed_hosts, &server.allowed_origins);
        if let Some(public) = &server.public_base_url {
            doors.add_base(public);
        }
        let spec = PlanSpec {
            doors,
            require_session: config.sessions.require,
            max_body: server.max_body,
            default_segment: config
                .default_upstream
                .as_ref()
                .filter(|_| config.compat.root_proxy)
                .map(ToString::to_string),
        };
        let upstreams = config
            .upstreams
            .values()
            .flat_map(|upstream| of_upstream(config, upstream, platform))
            .collect();
        Self::new(spec, upstreams, ledger)
    }

    /// The upstream account under `segment`.
    pub fn route(&self, segment: &str) -> Option<&Arc<RouteEntry>> {
        self.routes.get(segment)
    }

    /// The upstream behind the compatibility paths.
    pub fn default_route(&self) -> Option<&Arc<RouteEntry>> {
        self.default.as_ref()
    }
}

/// The accounts of one upstream, its default one also under the bare name.
fn of_upstream(config: &Config, upstream: &Upstream, platform: &TlsTrust) -> Vec<RouteSpec> {
    let trust = trust_of(&upstream.tls, platform);
    let specs = upstream.account_refs().map(|account| {
        let mut segments = vec![format!("{}@{}", upstream.name, account.account)];
        if account.account == upstream.default_account {
            segments.push(upstream.name.to_string());
        }
        RouteSpec {
            segments,
            allow_subpaths: upstream.allow_subpaths,
            enabled: upstream.enabled,
            auth: match &upstream.auth {
                Auth::None => RouteAuth::None,
                Auth::Passthrough(how) => RouteAuth::Passthrough { skew: how.skew },
                _ => RouteAuth::Injected,
            },
            header: match &upstream.auth {
                Auth::Static(stored) => stored.header.clone(),
                _ => http::header::AUTHORIZATION,
            },
            egress: upstream.proxy.egress(),
            fields: upstream.headers.clone(),
            agent_name: match upstream.user_agent {
                UserAgent::Append => AgentName::Append,
                UserAgent::Forward => AgentName::Forward,
                UserAgent::Replace => AgentName::Replace,
            },
            via: upstream.via,
            sign_in: match config.compat.upstream_login_error {
                LoginErrorForm::JsonRpc => SignInTold::Shaped,
                LoginErrorForm::Http => SignInTold::Unauthorized,
                LoginErrorForm::Elicitation => SignInTold::Elicited,
            },
            limits: Limits {
                connect: upstream.connect_timeout,
                first_byte: upstream.first_byte_timeout,
                ..Limits::default()
            },
            idle_timeout: Some(upstream.idle_timeout).filter(|longest| !longest.is_zero()),
            max_concurrency: upstream.max_concurrency,
            hold: config.login.hold,
            keep_alive: match upstream.keep_alive {
                config::KeepAlive::Auto => KeepAlive::Auto,
                config::KeepAlive::Off => KeepAlive::Off,
            },
            dialect: match upstream.transport {
                config::Transport::Streamable => Dialect::Streamable,
                config::Transport::Sse => Dialect::Sse,
            },
            http2: upstream.http2,
            ..RouteSpec::new(account, upstream.url.as_str(), trust.clone())
        }
    });
    specs.collect()
}

fn trust_of(tls: &Tls, platform: &TlsTrust) -> TlsTrust {
    if tls.ca_file.is_none() && tls.client.is_none() {
        return platform.clone();
    }
    let own = tls.client.as_ref();
    let own = own.map(|own| (own.cert.as_path(), own.key.as_path()));
    TlsTrust::with_files(tls.ca_file.as_deref(), own)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::config::{Inputs, parse};

    fn plan(text: &str) -> Plan {
        let inputs = Inputs {
            file: PathBuf::from("config.toml"),
            ..Inputs::default()
        };
        let config = parse(text, &inputs).expect("a configuration").config;
        let trust = TlsTrust::of_platform();
        let local = SocketAddr::from(([127, 0, 0, 1], 5177));
        Plan::of_config(&config, local, &Ledger::new(), &trust).expect("a plan")
    }

    #[test]
    fn every_account_has_a_segment_and_the_default_one_the_bare_name() {
        let plan = plan(
            "default_upstream = \"notion\"\n\
             [upstreams.notion]\nurl = \"https://mcp.notion.com/mcp\"\ndefault_account = \"work\"\n\
             first_byte_timeout = \"7s\"\nuser_agent = \"replace\"\n\
             [upstreams.notion.accounts.work]\n[upstreams.notion.accounts.home]\n\
             [upstreams.docs]\nurl = \"https://docs.example.com/mcp/\"\nauth = { kind = \"none\" }\n",
        );
        let account = |segment: &str| plan.route(segment).map(|route| route.account().to_string());
        assert_eq!(account("notion").as_deref(), Some("notion@work"));
        assert_eq!(account("notion@work").as_deref(), Some("notion@work"));
        assert_eq!(account("notion@home").as_deref(), Some("notion@home"));
        assert_eq!(account("notion@other"), None);
        assert_eq!(account("docs").as_deref(), Some("docs"));
        let default = plan.default_route().expect("a default upstream");
        assert_eq!(default.account().to_string(), "notion@work");
        assert_eq!(default.spec.limits.first_byte, Duration::from_secs(7));
        assert_eq!(default.spec.agent_name, AgentName::Replace);
        assert_eq!(
            plan.route("docs").map(|docs| docs.base.path()),
            Some("/mcp/")
        );
        assert_eq!(
            plan.route("docs").map(|docs| docs.spec.auth),
            Some(RouteAuth::None)
        );
    }

    #[test]
    fn without_the_compatibility_paths_there_is_no_default_route() {
        let text = "default_upstream = \"docs\"\n[upstreams.docs]\nurl = \"https://h/\"\n";
        assert!(plan(text).default_route().is_some());
        assert!(
            plan(&format!("{text}[compat]\nroot_proxy = false\n"))
                .default_route()
                .is_none()
        );
    }
}
