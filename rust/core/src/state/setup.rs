//! A whole configuration: policies by key, servers, grants.

use std::sync::Arc;

use hashbrown::HashMap;

use super::candidates::Candidates;
use super::{ByKey, NamedServers, Servers, Servings, State, build_facts, candidates, index_of, load_error};
use crate::compile::{CompileError, CompiledPolicy};
use crate::grant::{GrantSpec, Grants, Places, TokenKey};
use crate::policy::{Catalogue, PolicyError, ast};
use crate::rate::{self, RateLimits};

/// The whole configuration except the catalogue.
#[derive(Debug, Default)]
pub struct Setup {
    /// Policies by the key that servers and grants name them by, with the file that messages name.
    pub policies: Vec<(String, String, ast::Policy)>,
    /// Servers by name, with the key of the policy for callers without configured grants.
    pub servers: Vec<(String, Option<String>)>,
    /// Servers with the key of the policy that is weighed beside theirs and decides nothing.
    pub candidates: Vec<(String, String)>,
    /// The grants: an empty list admits nobody, and without a list callers name the grant that is charged.
    pub grants: Option<Vec<GrantSpec>>,
    /// Key of the grants' token digests; required if a grant has one.
    pub grant_key: Option<TokenKey>,
    /// Rate limits, each with a domain of its own.
    pub rate_limits: Vec<rate::Domain>,
}

/// The error for a configuration that is refused: its message says what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// A policy, the catalogue or a file of rate limits has a fault.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A server has a fault.
    #[error("server `{server}`: {message}")]
    Server {
        /// Name of the server.
        server: String,
        /// The fault and the remedy.
        message: String,
    },
    /// A grant has a fault.
    #[error("grant `{grant}`: {message}")]
    Grant {
        /// Id of the grant.
        grant: String,
        /// The fault and the remedy.
        message: String,
    },
}

impl State {
    /// Compiles a whole configuration. One policy may serve several servers and grants; its counts are shared by all of
    /// them (`docs/policy.md` section 4).
    pub fn configure(setup: Setup, catalogue: Catalogue) -> Result<Self, SetupError> {
        let candidates = candidates::documents(setup.candidates, &setup.policies)?;
        let (policies, by_key) = compile(setup.policies)?;
        let candidates = candidates::compile(candidates)?;
        let mut servings = Arc::<Servings>::default();
        let servers = servers(setup.servers, &by_key, &mut servings)?;
        let weighed = candidates.iter().map(|(policy, _)| policy);
        let facts = Arc::new(build_facts(catalogue, policies.iter().chain(weighed))?);
        let grants = match setup.grants {
            None => Grants::unconfigured(),
            Some(list) => grants(list, setup.grant_key, &by_key, &servers)?,
        };
        let mut state = Self {
            generation: 0,
            policies: policies.into(),
            by_key: Arc::new(by_key),
            servings,
            servers: Arc::new(Servers::Named(servers)),
            grants,
            candidates: Arc::new(Candidates::build(candidates, &facts)),
            facts,
            rate_limits: Arc::new(RateLimits::build(setup.rate_limits)?),
        };
        state.resolve(true);
        Ok(state)
    }
}

fn compile(policies: Vec<(String, String, ast::Policy)>) -> Result<(Vec<CompiledPolicy>, ByKey), SetupError> {
    let mut by_key = ByKey::new();
    let mut by_name: HashMap<String, String> = HashMap::new();
    let mut compiled = Vec::with_capacity(policies.len());
    for (key, file, policy) in policies {
        if let Some(earlier) = by_name.insert(policy.name.clone(), file.clone()) {
            let message = format!(
                "policy name `{}` is taken by `{earlier}`, expected names of their own because counts are kept by policy \
                 name; give one of them another `name`",
                policy.name,
            );
            return Err(load_error(&file, CompileError::new(message)).into());
        }
        if by_key.insert(key.clone(), index_of(&compiled)).is_some() {
            let message = format!("a second policy with the key `{key}`; give each policy a key of its own");
            return Err(load_error(&file, CompileError::new(message)).into());
        }
        compiled.push(CompiledPolicy::build(policy).map_err(|fault| load_error(&file, fault))?);
    }
    Ok((compiled, by_key))
}

fn servers(
    list: Vec<(String, Option<String>)>,
    by_key: &ByKey,
    servings: &mut Arc<Servings>,
) -> Result<NamedServers, SetupError> {
    let mut servers = NamedServers::default();
    for (server, policy) in list {
        let fault = |message: String| SetupError::Server {
            server: server.clone(),
            message,
        };
        if server.is_empty() || server.contains('\0') {
            return Err(fault(
                "the name is empty or holds NUL; give the server a name of plain text".to_owned(),
            ));
        }
        let index = index_of(&servers.names);
        if servers.by_name.insert(server.clone(), index).is_some() {
            return Err(fault("it is configured twice; keep one of them".to_owned()));
        }
        let serving = match policy {
            None => None,
            Some(key) => {
                let policy = by_key
                    .get(&key)
                    .ok_or_else(|| fault(unknown_policy(&key, by_key)))?;
                Some(Servings::index(servings, index, *policy))
            }
        };
        servers.servings.push(serving);
        servers.names.push(server);
    }
    Ok(servers)
}

fn grants(
    list: Vec<GrantSpec>,
    key: Option<TokenKey>,
    by_key: &ByKey,
    servers: &NamedServers,
) -> Result<Grants, SetupError> {
    let mut grants = Grants::new(key);
    for spec in list {
        let id = spec.id.clone();
        let added = Places::of(&spec)
            .and_then(|places| are_known(&places, by_key, servers))
            .and_then(|()| grants.add(&spec));
        added.map_err(|message| SetupError::Grant { grant: id, message })?;
    }
    Ok(grants)
}

/// Returns the first name that is not configured as an error, which does not contain the grant's id.
fn are_known(places: &Places, by_key: &ByKey, servers: &NamedServers) -> Result<(), String> {
    for (server, policy) in places.iter() {
        if !servers.by_name.contains_key(server) {
            let known = servers.names.iter().map(String::as_str);
            return Err(format!(
                "unknown server `{server}`; {}",
                expected("server", known)
            ));
        }
        if let Some(key) = policy.filter(|key| !by_key.contains_key(*key)) {
            return Err(unknown_policy(key, by_key));
        }
    }
    Ok(())
}

fn unknown_policy(key: &str, by_key: &ByKey) -> String {
    let known = by_key.keys().map(String::as_str);
    format!("unknown policy `{key}`; {}", expected("policy", known))
}

/// Lists the first few of the names that would have been valid.
pub(super) fn expected<'n>(kind: &str, names: impl Iterator<Item = &'n str>) -> String {
    const MOST: usize = 10;
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    let rest = if names.len() > MOST { " or another" } else { "" };
    names.truncate(MOST);
    if names.is_empty() {
        format!("no {kind} is configured, so add it")
    } else {
        format!("expected one of `{}`{rest}, or add it", names.join("`, `"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grant::Token;
    use crate::policy::{Format, Source, parse};

    fn policy(name: &str) -> ast::Policy {
        let text = format!(r#"{{"version": "1", "name": "{name}", "default": "allow"}}"#);
        let source = Source {
            name: "p.json",
            stem: "p",
            format: Format::Json,
            bytes: text.as_bytes(),
        };
        parse(&source).unwrap()
    }

    fn key() -> TokenKey {
        TokenKey::new([1; 32])
    }

    fn grant(id: &str) -> GrantSpec {
        GrantSpec {
            id: id.to_owned(),
            tokens: vec![key().digest(Token::new(id)).into()],
            server: "a".to_owned(),
            policy: Some("p".to_owned()),
            servers: Vec::new(),
            labels: Vec::new(),
            expires_at_us: None,
            revoked: false,
        }
    }

    fn listed(id: &str, servers: &[(&str, &str)]) -> GrantSpec {
        let owned = |(server, policy): &(&str, &str)| ((*server).to_owned(), (*policy).to_owned());
        GrantSpec {
            server: String::new(),
            policy: None,
            servers: servers.iter().map(owned).collect(),
            ..grant(id)
        }
    }

    fn setup() -> Setup {
        Setup {
            policies: ["p", "q"]
                .map(|name| (name.to_owned(), format!("{name}.json"), policy(name)))
                .into(),
            servers: vec![("a".to_owned(), Some("p".to_owned())), ("b".to_owned(), None)],
            candidates: Vec::new(),
            grants: Some(vec![grant("one")]),
            grant_key: Some(key()),
            rate_limits: Vec::new(),
        }
    }

    fn grants_of(setup: &mut Setup) -> &mut Vec<GrantSpec> {
        setup.grants.get_or_insert_default()
    }

    fn refusal(change: impl FnOnce(&mut Setup)) -> String {
        let mut setup = setup();
        change(&mut setup);
        State::configure(setup, Catalogue::default())
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_candidate_is_compiled_once_under_a_name_of_its_own() {
        let mut setup = setup();
        let of = |server: &str, key: &str| (server.to_owned(), key.to_owned());
        setup.candidates = vec![of("a", "p"), of("b", "p"), of("c", "q")];
        let state = State::configure(setup, Catalogue::default()).unwrap();
        let list = state.candidates().list();
        let names: Vec<_> = list.iter().map(|one| (one.name(), one.servers().len())).collect();
        assert_eq!(names, [("p#candidate", 2), ("q#candidate", 1)]);
        assert_eq!(list[0].version(), state.policies().next().unwrap().version());
        assert_eq!(
            refusal(|setup| setup.candidates = vec![of("a", "r")]),
            "server `a`: unknown candidate `r`; expected one of `p`, `q`, or add it"
        );
    }

    #[test]
    fn a_policy_is_listed_once_for_each_server_where_it_decides() {
        let mut setup = setup();
        let at = |id: &str, server: &str, policy: &str| GrantSpec {
            server: server.to_owned(),
            policy: Some(policy.to_owned()),
            ..grant(id)
        };
        setup.grants = Some(vec![
            at("1", "a", "p"),
            at("2", "b", "p"),
            at("3", "b", "p"),
            at("4", "a", "q"),
            listed("5", &[("b", "q"), ("a", "p")]),
        ]);
        let state = State::configure(setup, Catalogue::default()).unwrap();
        let listed: Vec<_> = state
            .policies()
            .map(|view| (view.server().unwrap(), view.name()))
            .collect();
        assert_eq!(listed, [("a", "p"), ("b", "p"), ("a", "q"), ("b", "q")]);
        assert_eq!(state.servers(), ["a", "b"]);
        assert_eq!(state.grants().len(), 5);
    }

    #[test]
    fn faults_say_what_where_and_what_to_do() {
        assert_eq!(
            refusal(|setup| grants_of(setup).push(grant("one"))),
            "grant `one`: a second grant has this `id`; give each grant an id of its own"
        );
        assert_eq!(
            refusal(|setup| grants_of(setup).push(GrantSpec {
                id: "two".to_owned(),
                ..grant("one")
            })),
            "grant `two`: grant `one` has the same `token_hash`; create a token for each grant"
        );
        assert_eq!(
            refusal(|setup| grants_of(setup)[0].server = "c".to_owned()),
            "grant `one`: unknown server `c`; expected one of `a`, `b`, or add it"
        );
        assert_eq!(
            refusal(|setup| grants_of(setup)[0].policy = Some("r".to_owned())),
            "grant `one`: unknown policy `r`; expected one of `p`, `q`, or add it"
        );
        assert_eq!(
            refusal(|setup| grants_of(setup)[0] = listed("one", &[("a", "p"), ("c", "p")])),
            "grant `one`: unknown server `c`; expected one of `a`, `b`, or add it"
        );
        assert_eq!(
            refusal(|setup| grants_of(setup)[0] = listed("one", &[("a", "r")])),
            "grant `one`: unknown policy `r`; expected one of `p`, `q`, or add it"
        );
        assert_eq!(
            refusal(|setup| grants_of(setup)[0].servers = vec![("b".to_owned(), "q".to_owned())]),
            "grant `one`: it has `servers`, and `server` or `policy` as well; keep `servers` alone"
        );
        assert_eq!(
            refusal(|setup| setup.servers[1].1 = Some("r".to_owned())),
            "server `b`: unknown policy `r`; expected one of `p`, `q`, or add it"
        );
        assert_eq!(
            refusal(|setup| setup.servers.push(("a".to_owned(), None))),
            "server `a`: it is configured twice; keep one of them"
        );
        assert_eq!(
            refusal(|setup| setup
                .policies
                .push(("r".to_owned(), "r.json".to_owned(), policy("p")))),
            "r.json:1:1: policy name `p` is taken by `p.json`, expected names of their own because counts are kept by \
             policy name; give one of them another `name`"
        );
        assert_eq!(
            refusal(|setup| setup.grant_key = None),
            "grant `one`: it has a `token_hash`, and no grant key is configured to check tokens with; configure the key \
             that the hash was made with"
        );
        assert_eq!(
            refusal(|setup| {
                setup.servers.clear();
                grants_of(setup)[0].server = "a".to_owned();
            }),
            "grant `one`: unknown server `a`; no server is configured, so add it"
        );
    }
}
