//! Caffe's spelling of flags (gflags: one dash, underscores) as ours.

use std::ffi::OsString;

/// Flags of glog, which every tool of the original takes and which mean nothing here.
const OF_GLOG: [&str; 3] = ["logtostderr", "alsologtostderr", "colorlogtostderr"];

/// The same, with a value, which may be the next argument.
const OF_GLOG_WITH_VALUE: [&str; 5] = ["log-dir", "minloglevel", "stderrthreshold", "v", "vmodule"];

/// Those that may be written with `no` before them.
const BOOLS: [&str; 4] = ["gray", "shuffle", "check-size", "encoded"];

/// `-solver=x` → `--solver=x`, `--sigint_effect stop` → `--sigint-effect stop`, `-nogray` →
/// `--gray=false`; anything that is not a flag (numbers, one-letter flags, what follows `--`) stays.
pub fn rewritten(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let (mut rest, mut found) = (false, Vec::new());
    let mut arguments = arguments.peekable();
    while let Some(argument) = arguments.next() {
        let Some((flag, value)) = argument.to_str().filter(|_| !rest).and_then(flag_of) else {
            rest |= argument == "--";
            found.push(argument);
            continue;
        };
        if OF_GLOG.contains(&flag.as_str()) {
            continue;
        }
        if OF_GLOG_WITH_VALUE.contains(&flag.as_str()) {
            let is_value =
                |next: &OsString| next.to_str().is_none_or(|next| flag_of(next).is_none());
            if value.is_empty() {
                arguments.next_if(is_value);
            }
            continue;
        }
        found.push(match flag.strip_prefix("no").filter(|flag| BOOLS.contains(flag)) {
            Some(flag) => format!("--{flag}=false").into(),
            None => format!("--{flag}{value}").into(),
        });
    }
    found
}

/// The name of a flag, with dashes, and its `=value`.
fn flag_of(argument: &str) -> Option<(String, String)> {
    let name = argument.trim_start_matches('-');
    let dashes = argument.len() - name.len();
    let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if !(1..=2).contains(&dashes) || !letter || (dashes == 1 && name.len() == 1 && name != "v") {
        return None;
    }
    let (flag, value) = match name.split_once('=') {
        Some((flag, value)) => (flag, format!("={value}")),
        None => (name, String::new()),
    };
    Some((flag.replace('_', "-"), value))
}

#[cfg(test)]
mod tests {
    #[test]
    fn caffe_spellings_become_ours() {
        let table = [
            ("-solver=a_b.prototxt", "--solver=a_b.prototxt"),
            ("--solver", "--solver"),
            ("-sigint_effect", "--sigint-effect"),
            ("-h", "-h"),
            ("-1", "-1"),
            ("--", "--"),
            ("file_name", "file_name"),
            ("-gpu", "--gpu"),
            ("-nogray", "--gray=false"),
            ("--nocheck_size", "--check-size=false"),
        ];
        for (given, wanted) in table {
            let found = super::rewritten([given.into()].into_iter());
            assert_eq!(found, [std::ffi::OsString::from(wanted)], "{given}");
        }
        let of_glog = [
            "-logtostderr",
            "--alsologtostderr=1",
            "-minloglevel=0",
            "-v=1",
            "-v",
            "1",
            "-log_dir",
            "/tmp",
            "-minloglevel",
            "-shuffle",
        ];
        let found = super::rewritten(of_glog.map(Into::into).into_iter());
        assert_eq!(found, ["--shuffle"]);
    }
}
