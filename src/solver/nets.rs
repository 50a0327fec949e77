//! The nets a solver names: one to train, and those to test.

use std::path::Path;

use cortado_proto::{NetDef, SolverDef};

use super::SolverError;
use crate::files;

/// A net as a solver names it.
#[derive(Clone, Debug)]
pub enum NamedNet {
    /// In a file of its own.
    File {
        /// The field that names it, e.g. `test_net[0]`.
        field: String,
        /// As the field says it: beside the solver, or from the working directory.
        path: String,
    },
    /// In the solver's own text.
    Here(Box<NetDef>),
}

/// All nets a solver names.
#[derive(Clone, Debug)]
pub struct NamedNets {
    /// The one to train.
    pub train: NamedNet,
    /// Those to test, in the order of their `test_iter`.
    pub tests: Vec<NamedNet>,
}

impl NamedNet {
    fn file(field: &str, path: &str) -> NamedNet {
        NamedNet::File { field: field.to_owned(), path: path.to_owned() }
    }

    fn here(net: NetDef) -> NamedNet {
        NamedNet::Here(Box::new(net))
    }

    /// The net itself; a file is looked for beside `near`, the solver's.
    ///
    /// # Errors
    /// The file cannot be read, or what is wrong with its text.
    pub fn read(self, near: Option<&Path>) -> Result<NetDef, cortado_proto::Errors> {
        match self {
            NamedNet::File { path, .. } => NetDef::read(files::resolve(&path, near)),
            NamedNet::Here(net) => Ok(*net),
        }
    }
}

/// The nets a solver names: exactly one to train, and those to test (a net given as `net` is tested as
/// often as `test_iter` has entries beyond the test nets).
///
/// # Errors
/// None or several to train; `test_iter`, `test_state` and `test_interval` that don't go with the test nets.
pub fn named_nets(def: &SolverDef) -> Result<NamedNets, SolverError> {
    let p = &def.param;
    let fail = |field: &str, why: String| Err(SolverError::field(why, def.span_of(field)));
    let given = [
        ("net", p.net.is_some()),
        ("net_param", p.net_param.is_some()),
        ("train_net", p.train_net.is_some()),
        ("train_net_param", p.train_net_param.is_some()),
    ];
    let named: Vec<&str> = given.iter().filter(|(_, is)| *is).map(|(name, _)| *name).collect();
    if named.len() > 1 {
        let why = format!("the net to train is given once, found {}", named.join(" and "));
        return fail(named[1], why);
    }
    let generic = match &p.net {
        Some(path) => Some(NamedNet::file("net", path)),
        None => def.net_param().map(NamedNet::here),
    };
    let own = match &p.train_net {
        Some(path) => Some(NamedNet::file("train_net", path)),
        None => def.train_net_param().map(NamedNet::here),
    };
    let Some(train) = own.or_else(|| generic.clone()) else {
        let why = "a solver names its net: `net`, `net_param`, `train_net` or `train_net_param`";
        return fail("", why.to_owned());
    };
    let mut tests: Vec<NamedNet> = def.test_net_params().into_iter().map(NamedNet::here).collect();
    let files = p.test_net.iter().enumerate();
    tests.extend(files.map(|(i, path)| NamedNet::file(&format!("test_net[{i}]"), path)));
    let wanted = p.test_iter.len();
    match generic {
        Some(generic) if wanted >= tests.len() => tests.resize(wanted, generic),
        _ if wanted == tests.len() => {}
        _ => {
            let nets = tests.len();
            let why =
                format!("`test_iter` is given once per test net: found {wanted} for {nets} nets");
            return fail("test_iter", why);
        }
    }
    if !p.test_state.is_empty() && p.test_state.len() != tests.len() {
        let (states, nets) = (p.test_state.len(), tests.len());
        let why =
            format!("`test_state` is given once per test net: found {states} for {nets} nets");
        return fail("test_state", why);
    }
    if !tests.is_empty() && p.test_interval() <= 0 {
        let why = "there are test nets, so `test_interval` must be above 0".to_owned();
        return fail("test_iter", why);
    }
    Ok(NamedNets { train, tests })
}
