//! `solver_type: ADAGRAD` → `type: "AdaGrad"`.

use crate::caffe::solver_parameter::SolverType;
use crate::def::SolverDef;
use crate::error::{Error, ErrorKind};

pub(super) fn needs(solver: &SolverDef) -> bool {
    solver.param.solver_type.is_some()
}

pub(super) fn apply(solver: &mut SolverDef) -> Result<String, Error> {
    let place = solver.span_of("solver_type");
    let number = solver.param.solver_type.unwrap_or_default();
    if solver.param.r#type.is_some() {
        let what = "both `solver_type` and `type` are given; `type` alone is enough";
        return Err(Error::new(ErrorKind::Conflict(what.into())).with_place(place));
    }
    let name = match SolverType::try_from(number) {
        Ok(SolverType::Sgd) => "SGD",
        Ok(SolverType::Nesterov) => "Nesterov",
        Ok(SolverType::Adagrad) => "AdaGrad",
        Ok(SolverType::Rmsprop) => "RMSProp",
        Ok(SolverType::Adadelta) => "AdaDelta",
        Ok(SolverType::Adam) => "Adam",
        Ok(SolverType::Sag) => "SAG",
        Err(_) => {
            let error = Error::value("solver_type", format!("has no value {number}"));
            return Err(error.with_place(place));
        }
    };
    solver.param.solver_type = None;
    solver.param.r#type = Some(name.into());
    Ok(format!("`solver_type` became `type: \"{name}\"`"))
}
