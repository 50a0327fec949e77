//! Caffe's spelling of flags (gflags: one dash, underscores) as ours.

use std::ffi::OsString;

/// Flags of glog, which every tool of the original takes and which mean nothing here.
const OF_GLOG: [&str; 6] =
    ["logtostderr", "alsologtostderr", "colorlogtostderr", "minloglevel", "stderrthreshold", "v"];

/// Those that may be written with `no` before them.
const BOOLS: [&str; 4] = ["gray", "shuffle", "check-size", "encoded"];

/// `-solver=x` → `--solver=x`, `--sigint_effect stop` → `--sigint-effect stop`, `-nogray` →
/// `--gray=false`; anything that is not a flag (numbers, one-letter flags, what follows `--`) stays.
pub fn rewritten(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut rest = false;
    arguments
        .filter_map(|argument| {
            let Some(text) = argument.to_str() else { return Some(argument) };
            rest |= text == "--";
            let name = text.trim_start_matches('-');
            let dashes = text.len() - name.len();
            let letter = name.starts_with(|c: char| c.is_ascii_alphabetic());
            if rest || !(1..=2).contains(&dashes) || !letter || (dashes == 1 && name.len() == 1) {
                return Some(argument);
            }
            let (flag, value) = match name.split_once('=') {
                Some((flag, value)) => (flag, format!("={value}")),
                None => (name, String::new()),
            };
            let flag = flag.replace('_', "-");
            if OF_GLOG.contains(&flag.as_str()) {
                return None;
            }
            Some(match flag.strip_prefix("no").filter(|flag| BOOLS.contains(flag)) {
                Some(flag) => format!("--{flag}=false").into(),
                None => format!("--{flag}{value}").into(),
            })
        })
        .collect()
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
            ("-v", "-v"),
        ];
        for (given, wanted) in table {
            let found = super::rewritten([given.into()].into_iter());
            assert_eq!(found, [std::ffi::OsString::from(wanted)], "{given}");
        }
        let of_glog = ["-logtostderr", "--alsologtostderr=1", "-minloglevel=0", "-v=1"];
        let found = super::rewritten(of_glog.map(Into::into).into_iter());
        assert!(found.is_empty(), "{found:?}");
    }
}
