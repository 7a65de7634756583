//! Drawings for papers and reports: a run's loss curve, a profile's dimensions. SVG or PNG, by plotters.

use std::sync::Once;

use idiolect_core::{
    ErrorCode, UserError,
    adapter::{LossPoint, Run},
    reading::{Reading, ReadingStatus},
    space::space,
};
use plotters::{
    coord::Shift,
    prelude::*,
    style::{FontStyle, register_font},
};

use crate::{
    api::{PlotFormat, PlotSubject, Response},
    context::Ctx,
    errors::not_enough,
};

/// Pixels, or SVG units.
const WIDTH: u32 = 960;
const INK: RGBColor = RGBColor(38, 38, 43);
const QUIET: RGBColor = RGBColor(140, 138, 132);
const ACCENT: RGBColor = RGBColor(36, 92, 120);
const FONT: &str = "studio";

/// Draws.
pub(crate) fn plot(
    ctx: &mut Ctx,
    what: &PlotSubject,
    format: PlotFormat,
) -> Result<Response, UserError> {
    let bytes = match what {
        PlotSubject::Loss { run } => {
            let run = ctx.studio.store.run(run).map_err(|e| e.to_user())?;
            loss(&run, format)?
        }
        PlotSubject::Dimensions { profile } => {
            let view = crate::inference::build_view(ctx, profile)?;
            dimensions(&view.dimensions, &view.profile.name, format)?
        }
    };
    Ok(Response::Plot { format, bytes })
}

/// Training and held-out loss over steps.
struct LossPlot {
    train: Vec<(f64, f64)>,
    held_out: Vec<(f64, f64)>,
    last_step: f64,
    losses: (f64, f64),
}

fn loss(run: &Run, format: PlotFormat) -> Result<Vec<u8>, UserError> {
    let points = |pick: fn(&LossPoint) -> Option<f64>| -> Vec<(f64, f64)> {
        run.curve
            .iter()
            .filter_map(|p| pick(p).map(|loss| (f64::from(p.step), loss)))
            .collect()
    };
    let (train, held_out) = (points(|p| p.loss), points(|p| p.held_out));
    let all = || train.iter().chain(&held_out);
    let Some(losses) = bounds(all().map(|p| p.1)) else {
        return Err(not_enough(
            "This run has no losses to draw yet.",
            "Wait for its first step, then try again.",
        ));
    };
    let last_step = all().map(|p| p.0).fold(1.0, f64::max);
    render(
        (WIDTH, 540),
        format,
        &LossPlot {
            train,
            held_out,
            last_step,
            losses,
        },
    )
}

impl Draw for LossPlot {
    fn on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let mut chart = ChartBuilder::on(area)
            .caption(
                "Loss while training (nats per token, lower is better)",
                (FONT, 22, &INK),
            )
            .margin(18)
            .x_label_area_size(44)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..self.last_step, self.losses.0..self.losses.1)?;
        chart
            .configure_mesh()
            .light_line_style(WHITE)
            .bold_line_style(QUIET.mix(0.25))
            .axis_style(QUIET)
            .label_style((FONT, 15, &INK))
            .x_desc("optimizer step")
            .y_desc("loss")
            .x_label_formatter(&|x| format!("{x:.0}"))
            .y_label_formatter(&|y| format!("{y:.2}"))
            .draw()?;
        chart
            .draw_series(LineSeries::new(
                self.train.iter().copied(),
                QUIET.stroke_width(2),
            ))?
            .label("training")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], QUIET.stroke_width(2)));
        chart
            .draw_series(
                LineSeries::new(self.held_out.iter().copied(), ACCENT.stroke_width(2))
                    .point_size(4),
            )?
            .label("held-out texts")
            .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], ACCENT.stroke_width(2)));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .background_style(WHITE.mix(0.9))
            .border_style(QUIET.mix(0.4))
            .label_font((FONT, 15, &INK))
            .draw()
    }
}

/// A row a dimension that something is known of: interval as a band, score as a dot.
struct DimensionPlot<'a> {
    known: Vec<&'a Reading>,
    name: &'a str,
}

fn dimensions(readings: &[Reading], name: &str, format: PlotFormat) -> Result<Vec<u8>, UserError> {
    let mut known: Vec<&Reading> = readings
        .iter()
        .filter(|r| r.override_score.is_some() || r.status == ReadingStatus::Known)
        .collect();
    if known.is_empty() {
        return Err(not_enough(
            "No dimension has enough evidence to be drawn.",
            "Add more samples and infer, or set a dimension yourself.",
        ));
    }
    known.sort_by(|a, b| {
        b.effective_score()
            .abs()
            .total_cmp(&a.effective_score().abs())
    });
    let height = 110 + ROW * known.len() as u32;
    render((WIDTH, height), format, &DimensionPlot { known, name })
}

/// Height of a dimension's row.
const ROW: u32 = 34;

impl Draw for DimensionPlot<'_> {
    fn on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B> {
        let text = |words: String, at: (i32, i32), size: i32, colour: &RGBColor| {
            area.draw(&Text::new(
                words,
                at,
                (FONT, size).into_text_style(area).color(colour),
            ))
        };
        text(
            format!(
                "Where “{}” stands (band: 95 % interval; hollow: set by the person)",
                self.name
            ),
            (18, 16),
            20,
            &INK,
        )?;
        let (left, right) = (440.0, f64::from(WIDTH) - 40.0);
        let x = |score: f64| {
            (left + (score.clamp(-1.0, 1.0) + 1.0) / 2.0 * (right - left)).round() as i32
        };
        let bottom = 60 + (ROW as i32) * self.known.len() as i32;
        for (tick, label) in [
            (-1.0, "−1"),
            (-0.5, "−0.5"),
            (0.0, "0"),
            (0.5, "+0.5"),
            (1.0, "+1"),
        ] {
            let style = QUIET.mix(if tick == 0.0 { 0.9 } else { 0.3 });
            area.draw(&PathElement::new([(x(tick), 54), (x(tick), bottom)], style))?;
            text(label.to_owned(), (x(tick) - 9, bottom + 8), 14, &QUIET)?;
        }
        for (row, reading) in self.known.iter().enumerate() {
            let dimension = &space()[usize::from(reading.index)];
            let y = 76 + (ROW as i32) * row as i32;
            let score = reading.effective_score();
            let pole = if score > 0.0 {
                &dimension.high
            } else {
                &dimension.low
            };
            text(shorten(&dimension.name, 24), (18, y - 8), 16, &INK)?;
            text(shorten(pole, 38), (200, y - 7), 13, &QUIET)?;
            if reading.status == ReadingStatus::Known {
                let band = [
                    (x(reading.interval.low), y - 6),
                    (x(reading.interval.high), y + 6),
                ];
                area.draw(&Rectangle::new(band, ACCENT.mix(0.25).filled()))?;
            }
            match reading.override_score {
                Some(own) => area.draw(&Circle::new((x(own), y), 6, INK.stroke_width(2)))?,
                None => area.draw(&Circle::new((x(score), y), 5, ACCENT.filled()))?,
            }
        }
        Ok(())
    }
}

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// What can be drawn on either backend.
trait Draw {
    fn on<B: DrawingBackend>(&self, area: &DrawingArea<B, Shift>) -> Drawn<B>;
}

fn render(size: (u32, u32), format: PlotFormat, drawing: &impl Draw) -> Result<Vec<u8>, UserError> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        // The shipped face always registers; were it unreadable, text would fail below with a clear error.
        let _ = register_font(
            FONT,
            FontStyle::Normal,
            include_bytes!("../../../assets/fonts/SourceSans3-Regular.ttf"),
        );
    });
    match format {
        PlotFormat::Svg => {
            let mut svg = String::new();
            {
                let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
                area.fill(&WHITE)
                    .and_then(|()| drawing.on(&area))
                    .and_then(|()| area.present())
                    .map_err(failed)?;
            }
            Ok(svg
                .replace(
                    &format!("font-family=\"{FONT}\""),
                    "font-family=\"Source Sans 3, sans-serif\"",
                )
                .into_bytes())
        }
        PlotFormat::Png => {
            let (width, height) = size;
            let mut pixels = vec![0; (width * height * 3) as usize];
            {
                let area = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
                area.fill(&WHITE)
                    .and_then(|()| drawing.on(&area))
                    .and_then(|()| area.present())
                    .map_err(failed)?;
            }
            let mut bytes = Vec::new();
            let image =
                image::RgbImage::from_raw(width, height, pixels).ok_or_else(|| failed("size"))?;
            image
                .write_to(
                    &mut std::io::Cursor::new(&mut bytes),
                    image::ImageFormat::Png,
                )
                .map_err(failed)?;
            Ok(bytes)
        }
    }
}

fn failed(error: impl std::fmt::Debug) -> UserError {
    UserError::new(
        ErrorCode::Internal,
        format!("The drawing failed: {error:?}."),
        "Try the other format: SVG instead of PNG, or PNG instead of SVG.",
    )
}

fn bounds(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
    (low <= high).then(|| {
        let margin = ((high - low) * 0.08).max(0.05);
        (low - margin, high + margin)
    })
}

fn shorten(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(letters - 1).collect();
    cut.push('…');
    cut
}

#[cfg(test)]
mod tests {
    use idiolect_core::{
        adapter::RunStatus,
        training::{Objective, TrainSettings},
    };

    use super::*;

    fn run() -> Run {
        Run {
            id: "r-1".into(),
            profile: "p-1".into(),
            model: "m".into(),
            objective: Objective::Sft,
            settings: TrainSettings::default(),
            samples: vec![],
            votes: vec![],
            drafts: vec![],
            parent: None,
            status: RunStatus::Finished,
            message: String::new(),
            curve: vec![
                LossPoint {
                    step: 0,
                    loss: None,
                    held_out: Some(3.4),
                    ..LossPoint::default()
                },
                LossPoint {
                    step: 1,
                    loss: Some(3.5),
                    held_out: None,
                    ..LossPoint::default()
                },
                LossPoint {
                    step: 2,
                    loss: Some(3.1),
                    held_out: Some(3.2),
                    ..LossPoint::default()
                },
            ],
            trials: vec![],
            tokens_per_second: 0.0,
            peak_bytes: 0,
            seconds: 0.0,
            adapter: None,
            resumable: false,
            started_at: String::new(),
        }
    }

    #[test]
    fn a_loss_curve_is_drawn_in_both_formats() {
        let svg = String::from_utf8(loss(&run(), PlotFormat::Svg).unwrap()).unwrap();
        assert!(
            svg.contains("held-out texts") && svg.contains("optimizer step"),
            "the axes are named"
        );
        let png = loss(&run(), PlotFormat::Png).unwrap();
        let image = image::load_from_memory(&png).unwrap().to_rgb8();
        assert_eq!(image.dimensions(), (WIDTH, 540));
        assert!(
            image.pixels().any(|p| p.0 == [36, 92, 120]),
            "the held-out line is there"
        );
    }

    #[test]
    fn nothing_known_is_said_and_not_drawn() {
        let mut empty = run();
        empty.curve.clear();
        assert_eq!(
            loss(&empty, PlotFormat::Svg).unwrap_err().code,
            ErrorCode::NotEnough
        );
        assert_eq!(
            dimensions(&[], "x", PlotFormat::Svg).unwrap_err().code,
            ErrorCode::NotEnough
        );
    }
}
