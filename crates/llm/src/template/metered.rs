//! A parsed template, built anew with checks of `meter` around everything whose cost depends on the values at hand.
//!
//! What no chat template needs — loading others, blocks, HTML escapes — is refused, so that there is less to limit.

use std::collections::BTreeMap;

use minijinja::{
    Error, ErrorKind, Value,
    machinery::{CodeGenerator, Instructions, Span, ast, ast::Spanned, parse},
    syntax::SyntaxConfig,
};

use super::meter::names;

/// A template's instructions, and those of its blocks, of which there are none.
pub(super) type Compiled<'a> = (Instructions<'a>, BTreeMap<&'a str, Instructions<'a>>);

/// Compiles `source` with its checks.
pub(super) fn compile<'a>(source: &'a str, syntax: &SyntaxConfig) -> Result<Compiled<'a>, Error> {
    let parsed = parse(source, "chat", syntax.clone())?;
    let mut generator = CodeGenerator::new("chat", source);
    generator.compile_stmt(&statement(&parsed)?);
    Ok(generator.finish())
}

fn refused(what: &str, span: Span) -> Error {
    Error::new(
        ErrorKind::InvalidOperation,
        format!(
            "it uses “{what}” in line {}, which chat templates do without",
            span.start_line
        ),
    )
}

type Statements<'a> = Vec<ast::Stmt<'a>>;

fn body<'a>(statements: &[ast::Stmt<'a>]) -> Result<Statements<'a>, Error> {
    statements.iter().map(statement).collect()
}

fn statement<'a>(from: &ast::Stmt<'a>) -> Result<ast::Stmt<'a>, Error> {
    use ast::Stmt as S;
    Ok(match from {
        S::Template(t) => S::Template(Spanned::new(
            ast::Template {
                children: body(&t.children)?,
            },
            t.span(),
        )),
        S::EmitExpr(e) => {
            // A recursive loop is called by a step of its own.
            let recursion = matches!(&e.expr, ast::Expr::Call(c)
                if c.args.len() == 1 && matches!(&c.expr, ast::Expr::Var(v) if v.id == "loop"));
            let expr = if recursion {
                inner(&e.expr)?
            } else {
                whole(&e.expr)?
            };
            S::EmitExpr(Spanned::new(ast::EmitExpr { expr }, e.span()))
        }
        // As a value, since text between tags counts too where it is captured in a loop.
        S::EmitRaw(raw) => {
            let text = ast::Const {
                value: Value::from(raw.raw),
            };
            let text = ast::Expr::Const(Spanned::new(text, raw.span()));
            let expr = check(names::WHOLE, text, Vec::new(), raw.span());
            S::EmitExpr(Spanned::new(ast::EmitExpr { expr }, raw.span()))
        }
        S::ForLoop(l) => S::ForLoop(Spanned::new(
            ast::ForLoop {
                target: target(&l.target)?,
                iter: inner(&l.iter)?,
                filter_expr: optional(l.filter_expr.as_ref(), inner)?,
                recursive: l.recursive,
                body: body(&l.body)?,
                else_body: body(&l.else_body)?,
            },
            l.span(),
        )),
        S::IfCond(c) => S::IfCond(Spanned::new(
            ast::IfCond {
                expr: inner(&c.expr)?,
                true_body: body(&c.true_body)?,
                false_body: body(&c.false_body)?,
            },
            c.span(),
        )),
        S::WithBlock(w) => S::WithBlock(Spanned::new(
            ast::WithBlock {
                assignments: w
                    .assignments
                    .iter()
                    .map(|(to, value)| Ok((target(to)?, inner(value)?)))
                    .collect::<Result<_, Error>>()?,
                body: body(&w.body)?,
            },
            w.span(),
        )),
        S::Set(s) => {
            // Into a namespace goes nothing that is nested without end.
            let expr = match s.target {
                ast::Expr::Var(_) => inner(&s.expr)?,
                _ => whole(&s.expr)?,
            };
            S::Set(Spanned::new(
                ast::Set {
                    target: target(&s.target)?,
                    expr,
                },
                s.span(),
            ))
        }
        S::SetBlock(s) => S::SetBlock(Spanned::new(
            ast::SetBlock {
                target: target(&s.target)?,
                filter: optional(s.filter.as_ref(), inner)?,
                body: body(&s.body)?,
            },
            s.span(),
        )),
        S::FilterBlock(f) => S::FilterBlock(Spanned::new(
            ast::FilterBlock {
                filter: inner(&f.filter)?,
                body: body(&f.body)?,
            },
            f.span(),
        )),
        S::Macro(m) => S::Macro(defined(m)?),
        S::CallBlock(c) => S::CallBlock(Spanned::new(
            ast::CallBlock {
                call: call(&c.call)?,
                macro_decl: defined(&c.macro_decl)?,
            },
            c.span(),
        )),
        S::Do(d) => S::Do(Spanned::new(
            ast::Do {
                call: call(&d.call)?,
            },
            d.span(),
        )),
        S::Continue(c) => S::Continue(Spanned::new(ast::Continue, c.span())),
        S::Break(b) => S::Break(Spanned::new(ast::Break, b.span())),
        S::AutoEscape(s) => return Err(refused("autoescape", s.span())),
        S::Block(s) => return Err(refused("block", s.span())),
        S::Import(s) => return Err(refused("import", s.span())),
        S::FromImport(s) => return Err(refused("from", s.span())),
        S::Extends(s) => return Err(refused("extends", s.span())),
        S::Include(s) => return Err(refused("include", s.span())),
    })
}

fn defined<'a>(m: &Spanned<ast::Macro<'a>>) -> Result<Spanned<ast::Macro<'a>>, Error> {
    Ok(Spanned::new(
        ast::Macro {
            name: m.name,
            args: m.args.iter().map(target).collect::<Result<_, _>>()?,
            defaults: m.defaults.iter().map(inner).collect::<Result<_, _>>()?,
            body: body(&m.body)?,
        },
        m.span(),
    ))
}

/// What is assigned to, as it is.
fn target<'a>(from: &ast::Expr<'a>) -> Result<ast::Expr<'a>, Error> {
    Ok(match from {
        ast::Expr::Var(v) => ast::Expr::Var(Spanned::new(ast::Var { id: v.id }, v.span())),
        ast::Expr::List(l) => ast::Expr::List(Spanned::new(
            ast::List {
                items: l.items.iter().map(target).collect::<Result<_, _>>()?,
            },
            l.span(),
        )),
        ast::Expr::Tuple(t) => ast::Expr::Tuple(Spanned::new(
            ast::Tuple {
                items: t.items.iter().map(target).collect::<Result<_, _>>()?,
            },
            t.span(),
        )),
        ast::Expr::GetAttr(a) => ast::Expr::GetAttr(Spanned::new(
            ast::GetAttr {
                expr: target(&a.expr)?,
                name: a.name,
            },
            a.span(),
        )),
        other => return Err(refused("an assignment to such a thing", other.span())),
    })
}

fn optional<'a>(
    from: Option<&ast::Expr<'a>>,
    rebuild: impl Fn(&ast::Expr<'a>) -> Result<ast::Expr<'a>, Error>,
) -> Result<Option<ast::Expr<'a>>, Error> {
    from.map(rebuild).transpose()
}

/// `expr|name(args)`, under a name that templates cannot spell.
fn check<'a>(
    name: &'static str,
    expr: ast::Expr<'a>,
    args: Vec<ast::CallArg<'a>>,
    span: Span,
) -> ast::Expr<'a> {
    let expr = Some(expr);
    ast::Expr::Filter(Spanned::new(ast::Filter { name, expr, args }, span))
}

fn whole<'a>(from: &ast::Expr<'a>) -> Result<ast::Expr<'a>, Error> {
    Ok(check(names::WHOLE, inner(from)?, Vec::new(), from.span()))
}

fn text<'a>(from: &ast::Expr<'a>) -> Result<ast::Expr<'a>, Error> {
    Ok(check(names::TEXT, inner(from)?, Vec::new(), from.span()))
}

fn each<'a>(
    from: &[ast::Expr<'a>],
    rebuild: impl Fn(&ast::Expr<'a>) -> Result<ast::Expr<'a>, Error>,
) -> Result<Vec<ast::Expr<'a>>, Error> {
    from.iter().map(rebuild).collect()
}

fn arguments<'a>(from: &[ast::CallArg<'a>]) -> Result<Vec<ast::CallArg<'a>>, Error> {
    use ast::CallArg as A;
    from.iter()
        .map(|argument| {
            Ok(match argument {
                A::Pos(e) => A::Pos(whole(e)?),
                A::Kwarg(name, e) => A::Kwarg(name, whole(e)?),
                A::PosSplat(e) => A::PosSplat(whole(e)?),
                A::KwargSplat(e) => A::KwargSplat(whole(e)?),
            })
        })
        .collect()
}

fn call<'a>(c: &Spanned<ast::Call<'a>>) -> Result<Spanned<ast::Call<'a>>, Error> {
    let expr = match &c.expr {
        // A function or method is found by its name: the parts stay as they are.
        ast::Expr::GetAttr(a) => ast::Expr::GetAttr(Spanned::new(
            ast::GetAttr {
                expr: inner(&a.expr)?,
                name: a.name,
            },
            a.span(),
        )),
        other => inner(other)?,
    };
    Ok(Spanned::new(
        ast::Call {
            expr,
            args: arguments(&c.args)?,
        },
        c.span(),
    ))
}

/// An expression with the checks inside it and on what it makes.
fn inner<'a>(from: &ast::Expr<'a>) -> Result<ast::Expr<'a>, Error> {
    use ast::Expr as E;
    let span = from.span();
    let made = |expr| check(names::WHOLE, expr, Vec::new(), span);
    Ok(match from {
        E::Var(v) => E::Var(Spanned::new(ast::Var { id: v.id }, span)),
        E::Const(c) => E::Const(Spanned::new(
            ast::Const {
                value: c.value.clone(),
            },
            span,
        )),
        E::Slice(s) => made(E::Slice(Spanned::new(
            ast::Slice {
                expr: whole(&s.expr)?,
                start: optional(s.start.as_ref(), inner)?,
                stop: optional(s.stop.as_ref(), inner)?,
                step: optional(s.step.as_ref(), inner)?,
            },
            span,
        ))),
        E::UnaryOp(u) => {
            let op = if matches!(u.op, ast::UnaryOpKind::Not) {
                ast::UnaryOpKind::Not
            } else {
                ast::UnaryOpKind::Neg
            };
            let expr = inner(&u.expr)?;
            E::UnaryOp(Spanned::new(ast::UnaryOp { op, expr }, span))
        }
        E::BinOp(b) => binary(b, span)?,
        E::Compare(c) => E::Compare(Spanned::new(
            ast::Compare {
                expr: whole(&c.expr)?,
                ops: c
                    .ops
                    .iter()
                    .map(|o| {
                        Ok(ast::CompareOp {
                            op: o.op,
                            expr: whole(&o.expr)?,
                        })
                    })
                    .collect::<Result<_, Error>>()?,
            },
            span,
        )),
        E::IfExpr(i) => E::IfExpr(Spanned::new(
            ast::IfExpr {
                test_expr: inner(&i.test_expr)?,
                true_expr: inner(&i.true_expr)?,
                false_expr: optional(i.false_expr.as_ref(), inner)?,
            },
            span,
        )),
        E::Filter(f) => made(filter(f, span)?),
        E::Test(t) => E::Test(Spanned::new(
            ast::Test {
                name: t.name,
                // Asking whether something is there must not begin with looking through it.
                expr: if t.args.is_empty() {
                    text(&t.expr)?
                } else {
                    whole(&t.expr)?
                },
                args: arguments(&t.args)?,
            },
            span,
        )),
        E::GetAttr(a) => E::GetAttr(Spanned::new(
            ast::GetAttr {
                expr: inner(&a.expr)?,
                name: a.name,
            },
            span,
        )),
        E::GetItem(i) => E::GetItem(Spanned::new(
            ast::GetItem {
                expr: text(&i.expr)?,
                subscript_expr: text(&i.subscript_expr)?,
            },
            span,
        )),
        E::Call(c) => made(E::Call(call(c)?)),
        E::List(l) => made(E::List(Spanned::new(
            ast::List {
                items: each(&l.items, inner)?,
            },
            span,
        ))),
        E::Tuple(t) => made(E::Tuple(Spanned::new(
            ast::Tuple {
                items: each(&t.items, inner)?,
            },
            span,
        ))),
        E::Map(m) => made(E::Map(Spanned::new(
            ast::Map {
                keys: each(&m.keys, inner)?,
                values: each(&m.values, inner)?,
            },
            span,
        ))),
    })
}

fn binary<'a>(b: &ast::BinOp<'a>, span: Span) -> Result<ast::Expr<'a>, Error> {
    use ast::BinOpKind as K;
    if matches!(b.op, K::Mul) {
        let right = vec![ast::CallArg::Pos(whole(&b.right)?)];
        return Ok(check(names::TIMES, whole(&b.left)?, right, span));
    }
    // Checked operands are no constants, so nothing is computed while compiling, where nothing is counted.
    let (left, right) = match b.op {
        K::ScAnd | K::ScOr => (inner(&b.left)?, inner(&b.right)?),
        _ => (whole(&b.left)?, whole(&b.right)?),
    };
    let op = b.op;
    let made = ast::Expr::BinOp(Spanned::new(ast::BinOp { op, left, right }, span));
    Ok(match b.op {
        K::Add | K::Concat => check(names::WHOLE, made, Vec::new(), span),
        _ => made,
    })
}

fn filter<'a>(f: &ast::Filter<'a>, span: Span) -> Result<ast::Expr<'a>, Error> {
    let name = ast::Const {
        value: Value::from(f.name),
    };
    let mut args = vec![ast::CallArg::Pos(ast::Expr::Const(Spanned::new(
        name, span,
    )))];
    args.extend(arguments(&f.args)?);
    // Without an expression it is applied to what a block wrote.
    let expr = optional(f.expr.as_ref(), inner)?;
    Ok(ast::Expr::Filter(Spanned::new(
        ast::Filter {
            name: names::FILTER,
            expr,
            args,
        },
        span,
    )))
}
