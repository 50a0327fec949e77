//! Speed of the kernels on the layers of known networks, one JSON line per measurement.
//!
//! Problems come from `benches/shapes/kernels/*.txt`, one per line: a kind, numbers, a name in quotes.
//! `cargo bench --bench kernels -- [words that a line or an operation must hold] [--threads N]
//! [--isa NAME] [--ms MILLISECONDS] [--cold] [--test]`. With `--cold`, caches are emptied before each
//! run, as they are for the weights of a whole network. Times are of the median and of the fastest run; the
//! share of the peak is the fastest run's of what the same threads reach with products in registers.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use cortado_kernels::*;

fn main() -> Result<(), String> {
    let options = Options::parse(std::env::args().skip(1))?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(options.threads).build();
    let pool = pool.map_err(|error| error.to_string())?;
    pool.install(|| run(&options))
}

struct Options {
    words: Vec<String>,
    threads: usize,
    k: &'static Kernels,
    time: Duration,
    cold: bool,
    test: bool,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Result<Options, String> {
        let (mut words, mut threads, mut k) = (Vec::new(), 1, kernels());
        let (mut time, mut cold, mut test) = (Duration::from_millis(150), false, false);
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("`{arg}` wants a value"));
            let number = |text: String| text.parse().map_err(|_| format!("`{text}` is no number"));
            match arg.as_str() {
                "--threads" => threads = number(value()?)?,
                "--isa" => k = select(&value()?)?,
                "--ms" => time = Duration::from_millis(number(value()?)? as u64),
                "--cold" => cold = true,
                "--test" => test = true,
                // Given by `cargo bench`.
                "--bench" => {}
                word => words.push(word.to_string()),
            }
        }
        Ok(Options { words, threads, k, time, cold, test })
    }
}

fn run(options: &Options) -> Result<(), String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../benches/shapes/kernels");
    let files = std::fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut paths: Vec<_> = files.filter_map(|file| Some(file.ok()?.path())).collect();
    paths.sort();
    let elsewhere = vec![0.0; if options.cold { 1 << 24 } else { 0 }];
    let (rounds, tries) = if options.test { (100, 1) } else { (200_000, 40) };
    let peak = options.k.peak(rounds, tries);
    let mut bench = Bench { options, peak, elsewhere, totals: BTreeMap::new() };
    for path in paths {
        let text = std::fs::read_to_string(&path);
        let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let problem = Problem::parse(line)?;
            match problem.kind {
                "conv" => bench.convolution(&problem)?,
                "pool" => bench.pooling(&problem)?,
                "gemm" => bench.gemm(&problem),
                "gemv" => bench.gemv(&problem),
                "reorder" => bench.reorder(&problem),
                "moments" | "softmax" | "lrn" => bench.norm(&problem),
                kind => return Err(format!("`{line}`: no such kind as `{kind}`")),
            }
        }
    }
    for ((net, op), (best, median)) in &bench.totals {
        println!(
            r#"{{"total":"{net}","op":"{op}","isa":"{}","threads":{},"median_ms":{:.3},"min_ms":{:.3}}}"#,
            options.k.isa(),
            options.threads,
            median * 1e3,
            best * 1e3,
        );
    }
    Ok(())
}

/// A line of a file.
struct Problem<'a> {
    line: &'a str,
    kind: &'a str,
    name: &'a str,
    words: Vec<&'a str>,
}

impl<'a> Problem<'a> {
    fn parse(line: &'a str) -> Result<Problem<'a>, String> {
        let (numbers, name) = line.split_once('"').ok_or(format!("`{line}`: no name in quotes"))?;
        let mut words: Vec<&str> = numbers.split_whitespace().collect();
        if words.is_empty() {
            return Err(format!("`{line}`: no kind"));
        }
        let kind = words.remove(0);
        Ok(Problem { line, kind, name: name.trim_end_matches('"'), words })
    }

    /// The number after `key`.
    fn get(&self, key: &str) -> Option<usize> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.parse().ok())
    }

    fn or(&self, key: &str, default: usize) -> usize {
        self.get(key).unwrap_or(default)
    }
}

struct Bench<'a> {
    options: &'a Options,
    peak: f64,
    /// More than the caches hold.
    elsewhere: Vec<f32>,
    /// (net, operation) -> seconds of the fastest runs and of the medians.
    totals: BTreeMap<(String, String), (f64, f64)>,
}

/// Numbers of [-1, 1).
fn numbers(n: usize) -> Vec<f32> {
    (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

impl Bench<'_> {
    /// Measures `f`, which does `work` floating-point operations.
    fn measure(&mut self, problem: &Problem<'_>, op: &str, work: f64, mut f: impl FnMut()) {
        let wanted = |word: &String| problem.line.contains(word.as_str()) || op.contains(&**word);
        if !self.options.words.iter().all(wanted) {
            return;
        }
        let mut times = Vec::new();
        let start = Instant::now();
        loop {
            if self.options.cold {
                self.elsewhere.iter_mut().for_each(|x| *x += 1.0);
            }
            let one = Instant::now();
            f();
            times.push(one.elapsed().as_secs_f64());
            let enough = start.elapsed() > self.options.time && times.len() > 4;
            if self.options.test || enough {
                break;
            }
        }
        times.sort_by(f64::total_cmp);
        let (best, median) = (times[0], times[times.len() / 2]);
        println!(
            r#"{{"op":"{op}","name":"{}","isa":"{}","threads":{},"runs":{},"median_ms":{:.4},"min_ms":{:.4},"gflops":{:.1},"of_peak":{:.3}}}"#,
            problem.name,
            self.options.k.isa(),
            self.options.threads,
            times.len(),
            median * 1e3,
            best * 1e3,
            work / best * 1e-9,
            work / best / self.peak,
        );
        let net = problem.name.split(':').next().unwrap_or_default();
        let total = self.totals.entry((net.to_string(), op.to_string())).or_default();
        let count = problem.or("x", 1) as f64;
        *total = (total.0 + count * best, total.1 + count * median);
    }

    fn convolution(&mut self, p: &Problem<'_>) -> Result<(), String> {
        let k = self.options.k;
        let window = |input, kernel, pad, stride, dilation| {
            let output = ConvGeometry::output_size(input, kernel, stride, pad, dilation)
                .ok_or_else(|| format!("`{}`: the kernel does not fit", p.line))?;
            Ok::<Window, String>(Window { input, output, kernel, stride, pad, dilation })
        };
        let (ih, kh, ph) = (p.or("ih", 1), p.or("kh", 1), p.or("ph", 0));
        let (sh, dh) = (p.or("sh", 1), p.or("dh", 1));
        let down = window(ih, kh, ph, sh, dh)?;
        let (iw, kw, pw) = (p.or("iw", ih), p.or("kw", kh), p.or("pw", ph));
        let across = window(iw, kw, pw, p.or("sw", sh), p.or("dw", dh))?;
        let (n, ic, oc, groups) = (p.or("n", 1), p.or("ic", 1), p.or("oc", 1), p.or("g", 1));
        let g = ConvGeometry { n, ic, oc, groups, windows: vec![down, across] };
        let work = 2.0 * g.macs() as f64;
        let (x, w, bias) = (numbers(g.input_len()), numbers(g.weight_len()), numbers(oc));
        let mut y = numbers(g.output_len());

        let packed = k.pack_conv(&g, &w, ConvAlgo::Auto, false);
        self.measure(p, "conv_nchw", work, || {
            k.conv_forward(&g, &x, &w, Some(&packed), Some(&bias), &mut y);
        });
        let from = Blocked { n, c: ic, h: ih, w: iw, halo: ph.max(pw) };
        let mut src = AlignedVec::zeros(from.len());
        k.to_blocked(&x, from, &mut src);
        let to = Blocked { n, c: oc, h: down.output, w: across.output, halo: 0 };
        let mut dst = AlignedVec::zeros(to.len());
        let source = match ic <= 4 {
            true => Source::Planes(&x),
            false => Source::Blocked(BlockedRef::new(&src, from)),
        };
        for (op, algo) in [
            ("conv_blocked", ConvAlgo::Auto),
            ("conv_direct", ConvAlgo::Direct),
            ("conv_winograd", ConvAlgo::Winograd),
        ] {
            let packed = k.pack_blocked(&g, &w, None, algo);
            self.measure(p, op, work, || {
                let add = Add::Nothing;
                let epilogue = Epilogue { bias: Some(&bias), add, act: Act::Relu(0.0) };
                k.conv_blocked(&g, source, &packed, epilogue, BlockedMut::new(&mut dst, to));
            });
        }
        let dy = numbers(g.output_len());
        let mut dx = vec![0.0; g.input_len()];
        self.measure(p, "conv_backward_data", work, || {
            k.conv_backward_data(&g, &dy, &w, None, Write::Set, ConvAlgo::Auto, &mut dx);
        });
        let mut dw = vec![0.0; g.weight_len()];
        // Blobs lie in blocks already, as they do between the layers of a net in training.
        let from = Blocked { halo: 0, ..from };
        let mut src = AlignedVec::zeros(from.len());
        k.to_blocked(&x, from, &mut src);
        let source = match ic <= 4 {
            true => Source::Planes(&x),
            false => Source::Blocked(BlockedRef::new(&src, from)),
        };
        k.to_blocked(&dy, to, &mut dst);
        self.measure(p, "conv_backward_weights", work, || {
            let dy = Source::Blocked(BlockedRef::new(&dst, to));
            k.conv_backward_weights(&g, source, dy, &mut dw);
        });
        Ok(())
    }

    fn pooling(&mut self, p: &Problem<'_>) -> Result<(), String> {
        let k = self.options.k;
        let (n, c, input, kernel) = (p.or("n", 1), p.or("c", 1), p.or("ih", 1), p.or("kh", 1));
        let (stride, pad) = (p.or("sh", 1), p.or("ph", 0));
        let output = PoolGeometry::output_size(input, kernel, stride, pad, pad > 0, Round::Ceil)
            .ok_or_else(|| format!("`{}`: no window fits", p.line))?;
        let window = PoolWindow { input, output, kernel, stride, pad };
        let g = PoolGeometry { n, c, windows: vec![window.clone(), window] };
        let work = (g.output_len() * kernel * kernel) as f64;
        let (x, mut y) = (numbers(g.input_len()), numbers(g.output_len()));
        let (from, to) = (
            Blocked { n, c, h: input, w: input, halo: 0 },
            Blocked { n, c, h: output, w: output, halo: 0 },
        );
        let (mut src, mut dst) = (AlignedVec::zeros(from.len()), AlignedVec::zeros(to.len()));
        k.to_blocked(&x, from, &mut src);
        let src = BlockedRef::new(&src, from);
        if p.words.contains(&"max") {
            self.measure(p, "max_pool", work, || k.max_pool_forward(&g, &x, &mut y, None));
            self.measure(p, "max_pool_blocked", work, || {
                k.max_pool_blocked(&g, src, BlockedMut::new(&mut dst, to));
            });
        } else {
            self.measure(p, "ave_pool", work, || k.ave_pool_forward(&g, &x, &mut y));
            self.measure(p, "ave_pool_blocked", work, || {
                k.ave_pool_blocked(&g, src, BlockedMut::new(&mut dst, to));
            });
        }
        Ok(())
    }

    fn gemm(&mut self, p: &Problem<'_>) {
        let options = self.options;
        let (m, n, depth) = (p.or("m", 1), p.or("n", 1), p.or("k", 1));
        let work = (2 * m * n * depth) as f64;
        let (a, b, mut c) = (numbers(m * depth), numbers(depth * n), numbers(m * n));
        let k = options.k;
        self.measure(p, "gemm", work, || {
            k.gemm(Trans::No, Trans::No, m, n, depth, 1.0, &a, &b, 0.0, &mut c);
        });
        self.measure(p, "gemm_nt", work, || {
            k.gemm(Trans::No, Trans::Yes, m, n, depth, 1.0, &a, &b, 0.0, &mut c);
        });
        let packed = k.pack_a(Trans::No, m, depth, &a);
        self.measure(p, "gemm_packed", work, || {
            k.gemm_packed(&packed, Trans::No, n, &b, 0.0, &mut c);
        });
    }

    fn gemv(&mut self, p: &Problem<'_>) {
        let k = self.options.k;
        let (ic, oc) = (p.or("ic", 1), p.or("oc", 1));
        let w = numbers(ic * oc);
        let work = (2 * ic * oc) as f64;
        let (x, mut y) = (numbers(ic), numbers(oc));
        self.measure(p, "gemv", work, || k.gemv(Trans::No, oc, ic, 1.0, &w, &x, 0.0, &mut y));
        let packed = k.pack_fc(Trans::No, oc, ic, &w);
        for n in [1, 4, 16] {
            let (x, mut y) = (numbers(n * ic), numbers(n * oc));
            self.measure(p, &format!("fc_{n}"), work * n as f64, || {
                k.fc(n, &x, &packed, None, Act::None, &mut y);
            });
        }
    }

    fn reorder(&mut self, p: &Problem<'_>) {
        let k = self.options.k;
        let (n, c, h) = (p.or("n", 1), p.or("c", 1), p.or("ih", 1));
        let x = numbers(n * c * h * h);
        let of = Blocked { n, c, h, w: h, halo: 1 };
        let (mut y, mut data) = (x.clone(), AlignedVec::zeros(of.len()));
        let work = x.len() as f64;
        self.measure(p, "to_blocked", work, || k.to_blocked(&x, of, &mut data));
        self.measure(p, "from_blocked", work, || {
            k.from_blocked(BlockedRef::new(&data, of), c, &mut y);
        });
    }

    fn norm(&mut self, p: &Problem<'_>) {
        let k = self.options.k;
        let (n, c, h) = (p.or("n", 1), p.or("c", 1), p.or("ih", 1));
        let inner = h * h;
        let x = numbers(n * c * inner);
        let (mut y, mut scale) = (x.clone(), x.clone());
        let len = x.len() as f64;
        match p.kind {
            "moments" => {
                let (mut mean, mut var) = (vec![0.0; c], vec![0.0; c]);
                self.measure(p, "moments", 4.0 * len, || {
                    k.moments(n, c, inner, &x, &mut mean, &mut var);
                });
                black_box(mean);
            }
            "softmax" => self.measure(p, "softmax", 20.0 * len, || {
                k.softmax_forward(n, c, inner, SrcDst::Apart(&x, &mut y));
            }),
            _ => {
                let size = p.or("size", 5);
                let work = (size + 8) as f64 * len;
                self.measure(p, "lrn", work, || {
                    let (alpha, beta) = (1e-4, 0.75);
                    k.lrn_across_forward(
                        n, c, inner, size, alpha, beta, 1.0, &x, &mut scale, &mut y,
                    );
                });
                let of = Blocked { n, c, h, w: h, halo: 0 };
                let (mut src, mut dst) = (AlignedVec::zeros(of.len()), AlignedVec::zeros(of.len()));
                k.to_blocked(&x, of, &mut src);
                self.measure(p, "lrn_blocked", work, || {
                    k.lrn_blocked(of, size, 1e-4, 0.75, 1.0, &src, &mut dst);
                });
            }
        }
    }
}
