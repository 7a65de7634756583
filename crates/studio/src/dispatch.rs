//! One match over the requests: which use case serves which. No work is done here.

use idiolect_core::UserError;

use crate::{
    Inner, align,
    api::{Event, Request, Response},
    bench, bench_speed, bench_train,
    context::Ctx,
    demo, eval, import, inference, plot, profiles, retest, samples, status, votes,
    writing::{self, Assignment},
};

/// Serves a request to its end.
pub(crate) fn run(
    studio: &Inner,
    request: Request,
    emit: &mut (dyn FnMut(Event) + Send),
) -> Result<Response, UserError> {
    let mut ctx = Ctx::new(studio, emit);
    let ctx = &mut ctx;
    match request {
        Request::Status => status::status(ctx),
        Request::CutShortSeen => status::acknowledge(ctx),
        Request::SettingsShow => status::show(ctx),
        Request::SettingsSet { settings } => status::set(ctx, settings),

        Request::ProfileList => profiles::list(ctx),
        Request::ProfileNew { name } => profiles::new(ctx, &name),
        Request::ProfileShow { profile } => inference::view(ctx, &profile),
        Request::ProfileRename { profile, name } => profiles::rename(ctx, &profile, &name),
        Request::ProfileSensitive { profile, on } => profiles::sensitive(ctx, &profile, on),
        Request::ProfileDescribe { profile, text } => profiles::describe(ctx, &profile, &text),
        Request::ProfileWishes { profile } => profiles::wishes(ctx, &profile),
        Request::ProfileExport { profile } => profiles::export(ctx, &profile),
        Request::ProfileDelete { profile } => profiles::delete(ctx, &profile),
        Request::SummarySet { profile, text } => profiles::summary_set(ctx, &profile, &text),
        Request::SummaryGenerate { profile } => profiles::summary_generate(ctx, &profile),

        Request::SampleAdd {
            profile,
            text,
            title,
        } => samples::add(ctx, &profile, &text, title),
        Request::ImportScan { file } => import::scan(ctx, &file),
        Request::ImportRun {
            profile,
            file,
            mine,
        } => import::import(ctx, &profile, &file, mine),
        Request::SampleList { profile } => samples::list(ctx, &profile),
        Request::SampleShow { sample } => samples::show(ctx, &sample),
        Request::SampleRestore { sample } => samples::restore(ctx, &sample),
        Request::SampleRemove { sample } => samples::remove(ctx, &sample),
        Request::CopiesForget => samples::forget_copies(ctx),

        Request::FingerprintShow { profile } => inference::fingerprint(ctx, &profile),
        Request::Infer { profile, model } => inference::infer(ctx, &profile, model.as_deref()),
        Request::DimensionSet {
            profile,
            dimension,
            score,
        } => inference::dimension_set(ctx, &profile, &dimension, score),
        Request::DimensionReset { profile, dimension } => {
            inference::dimension_reset(ctx, &profile, &dimension)
        }
        Request::DimensionObject {
            profile,
            dimension,
            object,
        } => inference::dimension_object(ctx, &profile, &dimension, &object),
        Request::HypothesisList { profile } => inference::hypotheses(ctx, &profile),
        Request::HypothesisDecide {
            hypothesis,
            decision,
        } => inference::decide(ctx, &hypothesis, decision),
        Request::HypothesisAdd { profile, statement } => {
            inference::add_hypothesis(ctx, &profile, &statement)
        }

        Request::PromptPreview {
            profile,
            intent,
            brief,
            words,
            columns,
            model,
        } => {
            let assignment = Assignment {
                profile: &profile,
                intent,
                brief: &brief,
                words,
            };
            writing::preview(ctx, &assignment, &columns, model.as_deref())
        }
        Request::Write {
            profile,
            intent,
            brief,
            words,
            columns,
            model,
        } => {
            let assignment = Assignment {
                profile: &profile,
                intent,
                brief: &brief,
                words,
            };
            writing::write(ctx, &assignment, &columns, model.as_deref())
        }
        Request::DraftList { profile } => writing::list(ctx, &profile),
        Request::DraftKeep { draft, keep } => writing::keep(ctx, &draft, keep),
        Request::DraftEdit { draft, text } => writing::edit(ctx, &draft, text.as_deref()),
        Request::DraftThumb { draft, thumb } => writing::thumb(ctx, &draft, thumb),
        Request::DraftDelete { draft } => writing::delete(ctx, &draft),
        Request::DraftDiff { left, right } => writing::diff(ctx, &left, &right),

        Request::BlindPair { left, right } => votes::blind_pair(ctx, &left, &right),
        Request::VoteCast {
            pair,
            choice,
            voter,
        } => votes::cast(ctx, &pair, choice, voter),
        Request::VoteTally { profile } => votes::tallies(ctx, &profile),

        Request::AlignPreflight {
            profile,
            settings,
            model,
        } => align::preflight(ctx, &profile, &settings, model.as_deref()),
        Request::AlignSft {
            profile,
            settings,
            model,
            name,
            anyway,
        } => align::sft(ctx, &profile, settings, model.as_deref(), name, anyway),
        Request::AlignMeasure {
            profile,
            settings,
            model,
        } => align::measure(ctx, &profile, &settings, model.as_deref()),
        Request::RunResume { run, name, anyway } => align::resume(ctx, &run, name, anyway),
        Request::RunDiscard { run } => align::discard(ctx, &run),
        Request::RunList { profile } => align::runs(ctx, &profile),
        Request::AdapterList { profile } => align::adapters(ctx, &profile),
        Request::AdapterShow { adapter } => align::show(ctx, &adapter),
        Request::AdapterRename { adapter, name } => align::rename(ctx, &adapter, &name),
        Request::AdapterRetire { adapter, retired } => align::retire(ctx, &adapter, retired),
        Request::AdapterRetrain {
            adapter,
            name,
            anyway,
        } => align::retrain(ctx, &adapter, name, anyway),
        Request::AdapterMeasure { adapter } => align::measure_voice(ctx, &adapter),
        Request::AdapterExport { adapter, form, to } => align::export(ctx, &adapter, form, &to),
        Request::AdapterImport {
            profile,
            file,
            model,
            name,
        } => align::import(ctx, &profile, &file, model.as_deref(), name),
        Request::AdapterStack { parts, name } => align::stack(ctx, &parts, name),
        Request::AdapterDelete { adapter } => align::delete(ctx, &adapter),
        Request::RetestStart {
            adapter,
            against,
            pairs,
            seed,
        } => retest::start(ctx, &adapter, against.as_ref(), pairs, seed),
        Request::RetestShow { adapter, against } => retest::show(ctx, &adapter, against.as_ref()),

        Request::ModelList => status::model_list(ctx),
        Request::ModelShow { model } => status::model_show(ctx, &model),
        Request::ModelPull {
            model,
            accept_licence,
        } => status::model_pull(ctx, &model, accept_licence),
        Request::ModelImport { file } => status::model_import(ctx, &file),
        Request::ModelDoctor { model } => status::model_doctor(ctx, &model),
        Request::ModelRelease { model } => status::model_release(ctx, &model),
        Request::ModelAnyway { model } => status::model_anyway(ctx, model),
        Request::ModelRemove { model } => status::model_remove(ctx, &model),
        Request::ModelUse { model } => status::model_use(ctx, &model),

        Request::Score {
            model,
            text,
            adapter,
        } => bench::score(ctx, model.as_deref(), &text, adapter),
        Request::Bench {
            model,
            threads,
            prompts,
            decode,
            workloads,
            sentences,
        } => {
            let wanted = bench_speed::Wanted {
                threads,
                prompts,
                decode,
                workloads,
                sentences,
            };
            bench_speed::bench(ctx, model.as_deref(), &wanted)
        }
        Request::BenchTrain(request) => bench_train::bench_train(ctx, &request),
        Request::Eval(request) => eval::run(ctx, &request),
        Request::Demo { seed } => demo::run(ctx, seed),
        Request::Plot { what, format } => plot::plot(ctx, &what, format),

        Request::JobCancel { job } => ctx.studio.jobs.cancel(job).map(|()| Response::Ok),
        Request::JobKeepBest { job } => ctx.studio.jobs.keep_best(job).map(|()| Response::Ok),
        Request::JobPause { job } => ctx.studio.jobs.pause(job).map(|()| Response::Ok),
        Request::JobResume { job } => ctx.studio.jobs.resume(job).map(|()| Response::Ok),
    }
}
