//! Kinds of authentication that need no person, and the way out.

use super::*;
use crate::model::record::ClientAuth;

const HEAD: &str = "[upstreams.a]\nurl = \"https://h/\"\n";

fn auth(text: &str) -> Auth {
    let config = good(&format!("{HEAD}[upstreams.a.auth]\n{text}"));
    config.upstreams.values().next().expect("one").auth.clone()
}

fn refused(text: &str, said: &str) {
    let shown = bad(&format!("{HEAD}[upstreams.a.auth]\n{text}"));
    assert!(shown.contains(said), "{text}: {shown}");
}

#[test]
fn a_stored_secret_says_where_it_is_and_how_it_is_sent() {
    let Auth::Static(usual) = auth("kind = \"static\"\nsecret = { keyring = \"pat\" }\n") else {
        panic!("another kind");
    };
    assert_eq!(usual.secret, SecretSource::Stored("pat".to_owned()));
    assert_eq!(
        (usual.header.as_str(), usual.format),
        ("authorization", HeaderForm::default())
    );
    let own = "kind = \"static\"\nsecret = { exec = [\"pass\", \"x\"] }\nheader = \"X-Key\"\n\
               format = \"key={secret};\"\nreload = \"on-401\"\n";
    let Auth::Static(own) = auth(own) else {
        panic!("another kind");
    };
    assert_eq!(own.format.before, "key=");
    assert_eq!(own.format.after, ";");
    for (wrong, said) in [
        ("", "`upstreams.a.auth.secret` is missing"),
        ("secret = \"ghp_x\"\n", "must say where the secret is"),
        ("secret = { keyring = \"a b\" }\n", "must name an item"),
        ("secret = { exec = [] }\n", "must be a program"),
        (
            "secret = { env = \"A\" }\nformat = \"Bearer\"\n",
            "must contain {secret}",
        ),
        (
            "secret = { env = \"A\" }\nheader = \"Host\"\n",
            "must be another field",
        ),
        (
            "secret = { env = \"A\" }\nreload = \"never\"\n",
            "must be one of \"on-401\"",
        ),
        (
            "secret = { env = \"A\" }\nscopes = [\"x\"]\n",
            "unknown key `scopes`",
        ),
    ] {
        refused(&format!("kind = \"static\"\n{wrong}"), said);
    }
}

#[test]
fn a_command_has_its_limits() {
    let Auth::Exec(exec) = auth("kind = \"exec\"\ncommand = [\"x\", \"y\"]\ncache = \"1m\"\n")
    else {
        panic!("another kind");
    };
    assert_eq!(exec.cache, Duration::from_mins(1));
    assert_eq!(
        (exec.timeout, exec.output),
        (Duration::from_secs(10), ExecOutput::Auto)
    );
    for (wrong, said) in [
        ("", "`upstreams.a.auth.command` is missing"),
        ("command = \"x y\"\n", "must be an array"),
        ("command = [\"x\"]\ninteractive = true\n", "cannot be true"),
        (
            "command = [\"x\"]\ncache = \"long\"\n",
            "or \"until-expiry\"",
        ),
        (
            "command = [\"x\"]\nenv = { \"A=B\" = \"c\" }\n",
            "is no name of a variable",
        ),
    ] {
        refused(&format!("kind = \"exec\"\n{wrong}"), said);
    }
}

#[test]
fn a_client_of_ours_has_a_secret() {
    let text = "kind = \"client_credentials\"\nclient_id = \"agents\"\n\
                client_secret = { env = \"A\" }\n";
    let Auth::ClientCredentials(client) = auth(text) else {
        panic!("another kind");
    };
    assert_eq!(
        (client.token_endpoint, client.resource),
        (None, Resource::Auto)
    );
    refused(&format!("{text}client_auth = \"none\"\n"), "does not fit");
    refused(
        &format!("{text}token_endpoint = \"http://id/\"\n"),
        "must be https",
    );
    refused(
        "kind = \"client_credentials\"\nclient_id = \"a\"\n",
        "client_secret` is missing",
    );
}

#[test]
fn a_client_that_signs_has_a_key_and_nothing_beside_it() {
    const KEY: &str = "client_id = \"agents\"\nprivate_key = { file = \"/k.pem\" }\n";
    let own = format!("kind = \"client_credentials\"\n{KEY}key_id = \"k1\"\n");
    let proof = ProofSource::Key {
        place: SecretSource::File("/k.pem".into()),
        id: Some("k1".to_owned()),
    };
    let Auth::ClientCredentials(client) = auth(&own) else {
        panic!("another kind");
    };
    assert_eq!(client.proof, Some(proof));
    let Auth::Oauth(oauth) = auth(&format!("{KEY}client_auth = \"private_key_jwt\"\n")) else {
        panic!("another kind");
    };
    assert_eq!(oauth.client_auth, Some(ClientAuth::PrivateKeyJwt));
    for (wrong, said) in [
        (
            format!("{KEY}client_auth = \"basic\"\n"),
            "proves itself by",
        ),
        (
            format!("{KEY}client_auth = \"none\"\n"),
            "would not be used",
        ),
        (
            format!("{KEY}client_secret = {{ env = \"A\" }}\n"),
            "is one too many",
        ),
        (
            "private_key = { env = \"A\" }\n".to_owned(),
            "a key belongs to a client",
        ),
        (
            "client_id = \"a\"\nkey_id = \"k\"\n".to_owned(),
            "needs a `private_key`",
        ),
        (
            "client_id = \"a\"\nclient_auth = \"private_key_jwt\"\n".to_owned(),
            "needs a `private_key`",
        ),
        (
            format!(
                "{KEY}authorization_endpoint = \"https://id/a\"\ntoken_endpoint = \"https://id/t\"\n"
            ),
            "has no addressee",
        ),
    ] {
        refused(&wrong, said);
    }
}

#[test]
fn an_agents_own_token_is_checked_unless_told_otherwise() {
    let skew = |text: &str| match auth(&format!("kind = \"passthrough\"\n{text}")) {
        Auth::Passthrough(how) => how.skew,
        other => panic!("{other:?}"),
    };
    assert_eq!(skew(""), Some(Duration::from_mins(1)));
    assert_eq!(skew("skew = \"5s\"\n"), Some(Duration::from_secs(5)));
    assert_eq!(skew("check_exp = false\n"), None);
}

#[test]
fn the_proxy_of_the_environment_is_used_unless_told_otherwise() {
    let variables = [
        ("HTTPS_PROXY", "ana:secret@proxy.corp:3128"),
        ("NO_PROXY", "intern.corp"),
    ];
    let of = |text: &str, host: &str| {
        let loaded = parse(&format!("{text}{HEAD}"), &inputs(&variables));
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        let shown = format!("{:?} {:?}", loaded.config, loaded.settings);
        assert!(!shown.contains("secret@"), "{shown}");
        let upstream = loaded.config.upstreams.values().next().cloned();
        let proxy = upstream.expect("one").proxy.egress().proxy_for(host);
        proxy.map(|proxy| proxy.to_string())
    };
    assert_eq!(
        of("", "mcp.example.com").as_deref(),
        Some("proxy.corp:3128")
    );
    assert_eq!(of("", "intern.corp"), None);
    let other = "[defaults]\nproxy = \"http://b:secret@other:1\"\n";
    assert_eq!(of(other, "intern.corp").as_deref(), Some("other:1"));
    assert_eq!(of("[defaults]\nproxy = \"off\"\n", "mcp.example.com"), None);
    let own = good(&format!(
        "[defaults]\nproxy = \"http://p:1\"\n{HEAD}proxy = \"off\"\n"
    ));
    let own = own.upstreams.values().next().expect("one").proxy.clone();
    assert_eq!(own, Proxy::default());
    assert!(bad("[defaults]\nproxy = \"socks5://p:1\"\n").contains("no way to speak to a proxy"));
    let socks = parse("", &inputs(&[("HTTPS_PROXY", "socks5://p:1")]));
    assert!(socks.is_err_and(|error| error.render().contains("HTTPS_PROXY")));
}

#[test]
fn an_assertion_is_somewhere_or_comes_of_an_exchange() {
    const CLIENT: &str = "client_id = \"agents\"\n";
    const IDP: &str = "idp = { token_endpoint = \"https://id/t\", client_id = \"b\", \
                       subject_token = { env = \"T\" } }\n";
    let own = auth(&format!(
        "kind = \"jwt_bearer\"\n{CLIENT}assertion = {{ file = \"/token\" }}\n"
    ));
    assert_eq!(own.kind(), "jwt_bearer");
    assert_eq!(own.secret(), Some(&SecretSource::File("/token".into())));
    let Auth::ClientCredentials(own) = own else {
        panic!("another kind");
    };
    assert_eq!((own.proof, own.client_auth), (None, None));
    let exchanged = auth(&format!("kind = \"token_exchange\"\n{CLIENT}{IDP}"));
    assert_eq!(exchanged.kind(), "token_exchange");
    let Auth::ClientCredentials(own) = exchanged else {
        panic!("another kind");
    };
    let Grounds::Exchange(idp) = own.grounds else {
        panic!("other grounds");
    };
    assert_eq!(
        idp.subject_type,
        "urn:ietf:params:oauth:token-type:id_token"
    );
    assert_eq!(idp.client_id, "b");
    for (wrong, said) in [
        (
            format!("kind = \"jwt_bearer\"\n{CLIENT}"),
            "assertion` is missing",
        ),
        (
            format!("kind = \"token_exchange\"\n{CLIENT}"),
            "idp.token_endpoint` is missing",
        ),
        (
            format!("kind = \"token_exchange\"\n{IDP}"),
            "auth.client_id` is missing",
        ),
        (
            format!(
                "kind = \"token_exchange\"\n{CLIENT}{}",
                IDP.replace("\"b\",", "\"b\", subject_token_type = \"nonsense\",")
            ),
            "must be \"id_token\"",
        ),
        (
            format!(
                "kind = \"token_exchange\"\n{CLIENT}{}",
                IDP.replace("\"b\",", "\"b\", subject = 1,")
            ),
            "unknown key `subject`",
        ),
    ] {
        refused(&wrong, said);
    }
}
