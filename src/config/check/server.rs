//! `[server]`: where doorward listens, and who may speak to it there.

use std::net::IpAddr;

use url::Url;

use crate::config::kinds::{DURATION, Kind, LIST, PORT, SIZE, text};
use crate::config::read::{Section, Wrong, place};
use crate::config::{Mistake, Server};
use crate::model::catalogue::Code;

pub(super) fn server(mut section: Section<'_>) -> Server {
    let bind = section.read("bind", "127.0.0.1", ADDRESS);
    if !bind.is_loopback() {
        refuse_remote(&section, bind);
    }
    let mut server = Server {
        bind,
        port: section.read("port", "5177", PORT),
        public_base_url: section.read("public_base_url", "", BASE_URL),
        redirect_path: section.read("redirect_path", "/oauth/callback", REDIRECT_PATH),
        allowed_hosts: section.read("allowed_hosts", "127.0.0.1, localhost, [::1]", HOSTS),
        allowed_origins: section.read("allowed_origins", "", ORIGINS),
        drain: section.read("drain", "10s", DURATION),
        max_body: section.read("max_body", "16MiB", SIZE),
    };
    let public = server.public_base_url.as_deref().map(Url::parse);
    if let Some(Ok(url)) = public {
        allow(
            &mut server.allowed_hosts,
            url.host_str().unwrap_or_default(),
        );
    }
    let own = match bind {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    allow(&mut server.allowed_hosts, &own);
    for key in [
        "socket",
        "allow_remote",
        "tls",
        "dashboard",
        "metrics",
        "metrics_open",
    ] {
        section.later(key);
    }
    section.finish();
    server
}

fn allow(hosts: &mut Vec<String>, host: &str) {
    let host = host.to_ascii_lowercase();
    if !host.is_empty() && !hosts.contains(&host) {
        hosts.push(host);
    }
}

fn refuse_remote(section: &Section<'_>, bind: IpAddr) {
    let origin = section.written("bind").unwrap_or(&section.origin);
    section.report.mistakes.borrow_mut().push(Mistake {
        place: place(origin),
        message: bind.to_string(),
        note: "anyone on the network could use your sign-ins".to_owned(),
        help: Some("bind to 127.0.0.1, and use an ssh tunnel from other machines".to_owned()),
        code: Code::RemoteBindRefused,
    });
}

const ADDRESS: Kind<'static, IpAddr> = Kind {
    shape: "text",
    parse: &|node| {
        let written = text(node)?;
        let bare = written.trim_start_matches('[').trim_end_matches(']');
        let address = if bare == "localhost" {
            "127.0.0.1"
        } else {
            bare
        };
        address.parse().map_err(|_| {
            Wrong::new(
                "must be an IP address such as \"127.0.0.1\"",
                "this is none",
            )
        })
    },
};

const BASE_URL: Kind<'static, Option<String>> = Kind {
    shape: "text",
    parse: &|node| {
        const DEMAND: &str = "must be an address such as \"https://mcp.example.com\"";
        let written = text(node)?;
        if written.is_empty() {
            return Ok(None);
        }
        let url = Url::parse(&written).map_err(|e| Wrong::new(DEMAND, e.to_string()))?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty();
        if plain {
            return Ok(Some(written.trim_end_matches('/').to_owned()));
        }
        Err(Wrong::new(DEMAND, "scheme, host and port only"))
    },
};

const REDIRECT_PATH: Kind<'static, String> = Kind {
    shape: "text",
    parse: &|node| {
        const DEMAND: &str = "must be a path such as \"/oauth/callback\"";
        let written = text(node)?;
        let taken = ["/u/", "/api/", "/login/", "/mcp/", "/.well-known/"];
        let exact = [
            "/",
            "/u",
            "/mcp",
            "/health",
            "/ready",
            "/oauth/login",
            "/oauth/status",
        ];
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'{' | b'}');
        if !written.starts_with('/') || !written.bytes().all(plain) {
            return Err(Wrong::new(DEMAND, "it begins with / and has no ? or #"));
        }
        let reserved = taken.iter().any(|prefix| written.starts_with(prefix))
            || exact.contains(&written.as_str());
        if reserved {
            return Err(Wrong::new(DEMAND, "this one has another use"));
        }
        Ok(written)
    },
};

const HOSTS: Kind<'static, Vec<String>> = Kind {
    shape: "an array",
    parse: &|node| {
        let mut hosts = (LIST.parse)(node)?;
        for host in &mut hosts {
            host.make_ascii_lowercase();
            let ported = host
                .rsplit_once(':')
                .is_some_and(|(_, port)| !port.ends_with(']'));
            if host.is_empty() || host.contains(['/', '*', ' ']) || ported {
                let note = format!("\"{host}\" is more or less than a host name");
                return Err(Wrong::new("must list host names without ports", note));
            }
        }
        Ok(hosts)
    },
};

const ORIGINS: Kind<'static, Vec<String>> = Kind {
    shape: "an array",
    parse: &|node| {
        let origins = (LIST.parse)(node)?;
        for origin in &origins {
            let url = Url::parse(origin).ok();
            if url.is_none_or(|url| url.origin().ascii_serialization() != *origin) {
                let note = format!("\"{origin}\" is none");
                let demand = "must list origins such as \"http://localhost:3000\"";
                return Err(Wrong::new(demand, note));
            }
        }
        Ok(origins)
    },
};
