#include "tables.h"

#define INTS "{u16,s16,u32,s32,u64,s64}"
#define ALL_INTS "{u8,s8,u16,s16,u32,s32,u64,s64}"
#define ROUND "{.rn,.rz,.rm,.rp}"
#define ROUND_OR_NONE "{,.rn,.rz,.rm,.rp}"
#define ROUND_INTEGRAL "{.rni,.rzi,.rmi,.rpi}"
#define FLOAT_COMPARE "{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}"

static const struct form_row integer_rows[] = {
    {"{add,sub}." INTS, "0=00"},        {"{add,sub}.sat.s32", "0=00"},
    {"mul.{lo,hi}." INTS, "0=00"},      {"mul.wide.{u16,s16,u32,s32}", "D=00"},
    {"mad.{lo,hi}." INTS, "0=000"},     {"mad.wide.{u16,s16,u32,s32}", "D=00D"},
    {"mad.hi.sat.s32", "0=000"},        {"{div,rem}." INTS, "0=00", FORM_DIVISOR},
    {"{neg,abs}.{s16,s32,s64}", "0=0"}, {"{min,max}." INTS, "0=00"},
};

static const struct form_row logic_rows[] = {
    {"{and,or,xor}.{pred,b16,b32,b64}", "0=00"},
    {"not.{pred,b16,b32,b64}", "0=0"},
    {"shl.{b16,b32,b64}", "0=0c"},
    {"shr.{b16,b32,b64,u16,u32,u64,s16,s32,s64}", "0=0c"},
    {"mov.{pred,b16,u16,s16,b32,u32,s32,f32,b64,u64,s64,f64}", "0=0"},
    {"selp.{b16,u16,s16,b32,u32,s32,f32,b64,u64,s64,f64}", "0=00p"},
};

static const struct form_row float_rows[] = {
    {"{add,sub,mul}" ROUND_OR_NONE "{,.ftz}{,.sat}.f32", "0=00"},
    {"{add,sub,mul}" ROUND_OR_NONE ".f64", "0=00"},
    {"{fma,mad}" ROUND "{,.ftz}{,.sat}.f32", "0=000"},
    {"{fma,mad}" ROUND ".f64", "0=000"},
    {"div" ROUND "{,.ftz}.f32", "0=00"},
    {"div" ROUND ".f64", "0=00"},
    {"div.approx{,.ftz}.f32", "0=00", FORM_QUOTIENT, 0x1p-22},
    {"div.full{,.ftz}.f32", "0=00", FORM_RELATIVE, 0x1p-22},
    {"{neg,abs}{,.ftz}.f32", "0=0"},
    {"{neg,abs}.f64", "0=0"},
    {"{min,max}{,.ftz}.f32", "0=00"},
    {"{min,max}.f64", "0=00"},
};

static const struct form_row compare_rows[] = {
    {"setp.{eq,ne}.{b16,b32,b64}", "p=00"},
    {"setp.{eq,ne,lt,le,gt,ge}." INTS, "p=00"},
    {"setp.{lo,ls,hi,hs}.{u16,u32,u64}", "p=00"},
    {"setp." FLOAT_COMPARE "{,.ftz}.f32", "p=00"},
    {"setp." FLOAT_COMPARE ".f64", "p=00"},
    {"setp.{lt,ge}.{u32,s64,f32,f64}", "P=00"},
    {"setp.{eq,lt,ge}.{and,or,xor}." INTS, "P=00p"},
    {"setp.{ne,gt,ltu,nan}.{and,or,xor}{,.ftz}.f32", "P=00p"},
    {"setp.{ne,gt,ltu,nan}.{and,or,xor}.{f32,f64}", "p=00p"},
};

static const struct form_row convert_integer_rows[] = {
    {"cvt." ALL_INTS "." ALL_INTS, "0=1"},
    {"cvt.{u8,s8,u16,s16}." ALL_INTS, "w=1"},
    {"cvt.sat.u8.{s8,u16,s16,u32,s32,u64,s64}", "0=1"},
    {"cvt.sat.s8.{u8,u16,s16,u32,s32,u64,s64}", "w=1"},
    {"cvt.sat.u16.{s8,s16,u32,s32,u64,s64}", "w=1"},
    {"cvt.sat.s16.{u16,u32,s32,u64,s64}", "0=1"},
    {"cvt.sat.u32.{s8,s16,s32,u64,s64}", "0=1"},
    {"cvt.sat.s32.{u32,u64,s64}", "0=1"},
    {"cvt.sat.u64.{s8,s16,s32,s64}", "0=1"},
    {"cvt.sat.s64.u64", "0=1"},
    {"cvt.{u8,s8,u16,s16,u32,s32}.{u8,s8,u16,s16,u32,s32}", "l=l"},
};

static const struct form_row convert_float_rows[] = {
    {"cvt" ROUND_INTEGRAL "{,.sat}." ALL_INTS ".{f32,f64}", "0=1"},
    {"cvt" ROUND_INTEGRAL ".ftz." ALL_INTS ".f32", "0=1"},
    {"cvt" ROUND "{,.sat}.{f32,f64}." ALL_INTS, "0=1"},
    {"cvt{,.ftz}{,.sat}.f64.f32", "0=1"},
    {"cvt" ROUND "{,.ftz}{,.sat}.f32.f64", "0=1"},
    {"cvt" ROUND_INTEGRAL "{,.ftz}{,.sat}.f32.f32", "0=1"},
    {"cvt{,.ftz}.sat.f32.f32", "0=1"},
    {"cvt" ROUND_INTEGRAL "{,.sat}.f64.f64", "0=1"},
    {"cvt.rn.f16.{f32,f64}", "0=1"},
    {"cvt.rn.ftz.{f16,bf16}.f32", "0=1"},
    {"cvt.ftz.f32.{f16,bf16}", "0=1"},
    {"cvt.{f32,f64}.f16", "0=1"},
};

static const struct form_row bits_rows[] = {
    {"{popc,clz}.{b32,b64}", "w=0"},
    {"brev.{b32,b64}", "0=0"},
    {"bfind{,.shiftamt}.{u32,s32,u64,s64}", "w=0"},
    {"bfe.{u32,s32,u64,s64}", "0=0cc"},
    {"bfi.{b32,b64}", "0=00cc"},
    {"prmt.b32{,.f4e,.b4e,.rc8,.ecl,.ecr,.rc16}", "w=www"},
    {"shf.{l,r}.{wrap,clamp}.b32", "w=wwc"},
    {"bmsk.{wrap,clamp}.b32", "w=cc"},
    {"szext.{wrap,clamp}.{u32,s32}", "w=wc"},
    {"fns.b32", "w=wcc"},
    {"lop3.b32", "w=www", .tail = ", 0x96"},
    {"lop3.b32", "w=www", .tail = ", 0xe8"},
    {"lop3.b32", "w=www", .tail = ", 0x1b"},
    {"lop3.b32 %r, %a0, %a1, %a2, {0x00,0x01,0x02,0x04,0x08,0x10,0x20,0x40,0x80,0xff}", "w=www"},
    {"cnot.{b16,b32,b64}", "0=0"},
    {"copysign.{f32,f64}", "0=00"},
    {"testp.{finite,infinite,number,notanumber,normal,subnormal}.{f32,f64}", "p=0"},
    {"slct.{b16,b32,b64,u32,s64,f32,f64}.s32", "0=001"},
    {"slct{,.ftz}.{b32,b64,f32,f64}.f32", "0=001"},
    {"set.{eq,lt,ge,ne}.{u32,s32,f32}.{u16,s32,u64,f32,f64}", "0=11"},
    {"set.{eq,lt}.{and,or,xor}.{u32,f32}.{s32,f32}", "0=11p"},
    {"set.{neu,ltu,num}.{u32,f32}.{f32,f64}", "0=11"},
};

static const struct form_row arithmetic_rows[] = {
    {"mul24.{lo,hi}.{u32,s32}", "0=00"},
    {"mad24.{lo,hi}.{u32,s32}", "0=000"},
    {"mad24.hi.sat.s32", "0=000"},
    {"sad." INTS, "0=000"},
    {"dp4a.{u32,s32}.{u32,s32}", "w=www"},
    {"dp2a.{lo,hi}.{u32,s32}.{u32,s32}", "w=www"},
    {"add.cc.{u32,s32}", "0=00", .carry = true},
    {"sub.cc.{u32,s32}", "0=00", .carry = true},
    {"addc{,.cc}.{u32,s32}", "0=00", .before = "add.cc.u32 %t1, %a0, %a0;", .carry = true},
    {"subc{,.cc}.{u32,s32}", "0=00", .before = "sub.cc.u32 %t1, %a1, %a0;", .carry = true},
    {"mad.{lo,hi}.cc.{u32,s32}", "0=000", .carry = true},
    {"madc.{lo,hi}{,.cc}.{u32,s32}", "0=000", .before = "add.cc.u32 %t1, %a0, %a2;", .carry = true},
    {"{add,sub}.cc.{u64,s64}", "0=00", .carry = true},
    {"addc{,.cc}.u64", "0=00", .before = "add.cc.u64 %at, %a0, %a0;", .carry = true},
    {"madc.{lo,hi}{,.cc}.u64", "0=000", .before = "add.cc.u64 %at, %a0, %a2;", .carry = true},
};

static const struct form_row mathematics_rows[] = {
    {"{rcp,sqrt}" ROUND "{,.ftz}.f32", "0=0"},
    {"{rcp,sqrt}" ROUND ".f64", "0=0"},
    {"{rcp,sqrt}.approx{,.ftz}.f32", "0=0", FORM_RELATIVE, 0x1p-23},
    {"rsqrt.approx{,.ftz}.f32", "0=0", FORM_RELATIVE, 0x1.13p-23},
    {"rcp.approx.ftz.f64", "0=0", FORM_RELATIVE, 0x1p-20},
    {"rsqrt.approx{,.ftz}.f64", "0=0", FORM_RELATIVE, 0x1p-20},
    {"{sin,cos}.approx{,.ftz}.f32", "0=0", FORM_ANGLE, 0x1.6bp-21},
    {"lg2.approx{,.ftz}.f32", "0=0", FORM_EITHER, 0x1p-22},
    {"ex2.approx{,.ftz}.f32", "0=0", FORM_RELATIVE, 0x1p-22},
    {"tanh.approx.f32", "0=0", FORM_RELATIVE, 0x1p-11},
};

#define SPACES "{.global,.shared,.local,}"
#define SHARED_SPACES "{.global,.shared,}"
#define STRONG "{.relaxed.cta,.relaxed.gpu,.acquire.gpu,.acquire.sys}"

static const struct form_row memory_rows[] = {
    {"ld" SPACES "." ALL_INTS, "0=l", .cell = true},
    {"ld" SPACES ".{u8,s8,u16,s16,u32,s32}", "l=l", .cell = true},
    {"ld" SPACES ".{b8,b16,b32,b64,f32,f64}", "0=0", .cell = true},
    {"ld.volatile" SHARED_SPACES ".{u8,s16,u32,f32,u64}", "0=0", .cell = true},
    {"ld" STRONG SHARED_SPACES ".{u16,b32,s32,u64}", "0=0", .cell = true},
    {"st" SPACES ".{u8,s8,b8}", "w=lw", .cell = true},
    {"st" SPACES ".{u16,s16,b16,u32,s32,b32,f32,u64,s64,b64,f64}", "w=l0", .cell = true},
    {"ld{.ca,.cg,.cs,.lu,.cv}{.global,.shared,}.{u32,f64}", "0=0", .cell = true},
    {"ld{.global,.shared,.local}{.ca,.cg,.cs,.lu,.cv}.{u8,s32,b64}", "0=0", .cell = true},
    {"ld.global{,.ca,.cg}.nc.{u8,s8,u16,s16,u32,s32,u64,f32,f64}", "0=0", .cell = true},
    {"ld.relaxed{.cta,.gpu,.sys}{.global,.shared,}.{u32,f64}", "0=0", .cell = true},
    {"ld.volatile{.global,.shared,}.{f64,s64}", "0=0", .cell = true},
    {"st.volatile{.global,.shared,}.{f64,u64}", "w=l0", .cell = true},
    {"ld.acquire{.cta,.gpu,.sys}{.global,.shared,}.{u8,u32,b64}", "0=0", .cell = true},
    {"st{.wb,.cg,.cs,.wt}{.global,.shared,}.{u32,f64}", "w=l0", .cell = true},
    {"st{.global,.shared,.local}{.wb,.cg,.cs,.wt}.{s32,b64}", "w=l0", .cell = true},
    {"st{.relaxed,.release}{.cta,.gpu,.sys}{.global,.shared,}.{b32,u32,u64}", "w=l0", .cell = true},
    {"st{.volatile,.relaxed.gpu,.release.cta,.release.sys}" SHARED_SPACES ".{u8,u32,f32,b64}",
     "w=l0", .cell = true},
};

static const struct form_row atomic_rows[] = {
    {"atom" SHARED_SPACES ".add.{u32,s32,u64,f32,f64}", "0=00", .cell = true},
    {"atom" SHARED_SPACES ".{and,or,xor,exch}.{b32,b64}", "0=00", .cell = true},
    {"atom" SHARED_SPACES ".{min,max}.{u32,s32,u64,s64}", "0=00", .cell = true},
    {"atom" SHARED_SPACES ".{inc,dec}.u32", "0=00", .cell = true},
    {"atom" SHARED_SPACES ".cas.{b16,b32,b64}", "0=000", .cell = true},
    {"atom{.relaxed,.acquire,.release,.acq_rel}{.cta,.gpu,.sys}" SHARED_SPACES ".add.u32", "0=00",
     .cell = true},
    {"atom.acq_rel.gpu" SHARED_SPACES ".cas.b64", "0=000", .cell = true},
    {"atom.add{.relaxed,.acquire,.release,.acq_rel}{.cta,.gpu}.{u32,s32,u64}", "0=00",
     .cell = true},
    {"atom{.global,.shared,}{.cta,.gpu,.sys}.{add,min,max}.{u32,s32,u64}", "0=00", .cell = true},
    {"atom{.global,.shared,}{.cta,.sys}.{and,or,xor,exch}.{b32,b64}", "0=00", .cell = true},
    {"atom{.global,.shared,}{.cta,.sys}.{inc,dec}.u32", "0=00", .cell = true},
    {"atom{.global,.shared,}.sys.add.{f32,f64}", "0=00", .cell = true},
    {"atom{.global,.shared,}{.cta,.sys}.cas.{b16,b32,b64}", "0=000", .cell = true},
    {"atom.cas.acquire.gpu.b32", "0=000", .cell = true},
    {"atom.or.acq_rel.cta.b32", "0=00", .cell = true},
    {"red.{and,or,xor}.release{.cta,.gpu}.b32", "w=00", .cell = true},
    {"red" SHARED_SPACES ".add.{u32,s32,u64,f32,f64}", "w=00", .cell = true},
    {"red" SHARED_SPACES ".{and,or,xor}.{b32,b64}", "w=00", .cell = true},
    {"red" SHARED_SPACES ".{min,max}.{u32,s32,u64,s64}", "w=00", .cell = true},
    {"red{.relaxed,.release}{.cta,.gpu,.sys}" SHARED_SPACES ".{inc,dec}.u32", "w=00", .cell = true},
};

/* What compilers emit for half precision, and other rare forms. */
static const struct form_row half_rows[] = {
    {"{min,max}{,.ftz}{,.NaN}{,.xorsign.abs}.f32", "0=00"},
    {"{add,sub,mul}{,.rn}{,.ftz}{,.sat}.{f16,f16x2}", "0=00"},
    {"fma.rn{,.ftz}{,.sat,.relu}.{f16,f16x2}", "0=000"},
    {"{add,sub,mul}{,.rn}.{bf16,bf16x2}", "0=00"},
    {"fma.rn{,.relu}.{bf16,bf16x2}", "0=000"},
    {"fma.rn.oob{,.relu}.{f16,f16x2,bf16,bf16x2}", "0=000"},
    {"{neg,abs}{,.ftz}.{f16,f16x2}", "0=0"},
    {"{neg,abs}.{bf16,bf16x2}", "0=0"},
    {"{min,max}{,.ftz}{,.NaN}{,.xorsign.abs}.{f16,f16x2}", "0=00"},
    {"{min,max}{,.NaN}{,.xorsign.abs}.{bf16,bf16x2}", "0=00"},
    {"setp.{eq,lt,geu,nan}.f16", "p=00"},
    {"cvt" ROUND ".f16.{u16,s16,u32,s32,u64,s64}", "0=1"},
    {"cvt" ROUND_INTEGRAL ".{u16,s16,u32,s32,u64,s64}.f16", "0=1"},
    {"cvt" ROUND_INTEGRAL ".f16.f16", "0=1"},
    {"cvt.rn.sat.f16.{f32,f64}", "0=1"},
    {"cvt.rz.f16.{f32,f64}", "0=1"},
    {"cvt{.rn,.rz}{,.relu}.bf16.f32", "0=1"},
    {"cvt.f32.bf16", "0=1"},
    {"cvt{.rn,.rz}.{f16x2,bf16x2}.f32", "0=11"},
    {"cvt.rna{,.satfinite}.tf32.f32", "0=1"},
    {"cvt{.rn,.rz}{,.relu}{,.satfinite}.tf32.f32", "0=1"},
    {"cvt{.rn,.rz}{,.relu}.satfinite.{f16,bf16}.f32", "0=1"},
    {"cvt{.rn,.rz}{,.relu}.satfinite.{f16x2,bf16x2}.f32", "0=11"},
    {"cvt.rn.satfinite{,.relu}.{e4m3x2,e5m2x2}.f32", "h=ff"},
    {"cvt.rn.satfinite{,.relu}.{e4m3x2,e5m2x2}.f16x2", "h=E"},
    {"cvt.rn{,.relu}.f16x2.{e4m3x2,e5m2x2}", "E=h"},
    {"atom{.global,.shared,}.add.noftz.{f16,f16x2,bf16,bf16x2}", "0=00", .cell = true},
};

/* One source of 16 bits: few enough values to try them all. */
static const struct form_row every_rows[] = {
    {"ex2.approx.{f16,f16x2}", "0=0", FORM_RELATIVE, 0x1.12p-10},
    {"ex2.approx.ftz.{bf16,bf16x2}", "0=0", FORM_RELATIVE, 0x1p-7},
    {"tanh.approx.{f16,f16x2}", "0=0", FORM_ABSOLUTE, 0x1.02p-11},
    {"tanh.approx.{bf16,bf16x2}", "0=0", FORM_ABSOLUTE, 0x1p-8},
    {"{neg,abs}{,.ftz}.{f16,f16x2}", "0=0"},
    {"{neg,abs}.{bf16,bf16x2}", "0=0"},
    {"cvt" ROUND_INTEGRAL ".{u8,s8,u16,s16,u32,s32,u64,s64}.{f16,bf16}", "0=1"},
    {"cvt" ROUND_INTEGRAL ".f16.f16", "0=1"},
    {"cvt.{f32,f64}.{f16,bf16}", "0=1"},
    {"cvt" ROUND ".f16.{u16,s16}", "0=1"},
    {"cvt.rn.bf16.{f16,u16,s16}", "0=1"},
    {"cvt.rn.f16.bf16", "0=1"},
    {"cvt.sat.f32.f16", "0=1"},
};

#define WORD_TYPES "{u32,s32}.{u32,s32}.{u32,s32}"
#define SUMS "{vadd,vsub,vabsdiff,vmin,vmax}"
#define PARTS "{b0,b1,b2,b3,h0,h1}"

static const struct form_row video_rows[] = {
    {SUMS "." WORD_TYPES "{,.sat}", "w=ww"},
    {SUMS "." WORD_TYPES "{,.sat}.{add,min,max}", "w=www"},
    {SUMS ".{u32.s32.u32,s32.u32.s32}.sat %r." PARTS ", %a0.b1, %a1.h1, %a2", "w=www"},
    {"vadd.{u32.s32.s32,s32.u32.u32} %r, %a0." PARTS ", %a1." PARTS, "w=ww"},
    {"vsub.s32.s32.u32.sat.min %r, %a0.{b0,b3,h1}, %a1." PARTS ", %a2", "w=www"},
    {"vabsdiff.{u32,s32}.s32.s32 %r." PARTS ", %a0, %a1.b2, %a2", "w=www"},
    {"{vshl,vshr}.{u32,s32}.{u32,s32}.u32{,.sat}{.clamp,.wrap}", "w=wc"},
    {"{vshl,vshr}.{u32,s32}.{u32,s32}.u32{,.sat}{.clamp,.wrap}.{add,min,max}", "w=wcw"},
    {"{vshl,vshr}.s32.{u32,s32}.u32.sat{.clamp,.wrap} %r." PARTS ", %a0.{b1,h1}, %a1.b0, %a2",
     "w=wcw"},
    {"vmad." WORD_TYPES "{,.sat}{,.shr7,.shr15}", "w=www"},
    {"vmad." WORD_TYPES ".po{,.sat}{,.shr7,.shr15}", "w=www"},
    {"vmad.s32.{u32,s32}.{u32,s32}{,.sat}{,.shr7} %r, {-,}%a0, {-,}%a1, %a2", "w=www"},
    {"vmad.s32.{u32,s32}.{u32,s32}{,.sat}{,.shr15} %r, %a0, %a1, -%a2", "w=www"},
    {"vmad.u32.{u32,s32}.{u32,s32} %r, %a0." PARTS ", %a1." PARTS ", %a2", "w=www"},
    {"vset.{u32,s32}.{u32,s32}.{eq,ne,lt,le,gt,ge}", "w=ww"},
    {"vset.{u32,s32}.{u32,s32}.{lt,ge}.{add,min,max}", "w=www"},
    {"vset.{u32,s32}.s32.{eq,gt} %r." PARTS ", %a0.b3, %a1.h0, %a2", "w=www"},
};

#define MASKS2 "{.h0,.h1,.h10}"
#define MASKS4 "{.b0,.b3,.b10,.b31,.b210,.b320,.b3210}"

static const struct form_row simd_rows[] = {
    {SUMS "{2,4}." WORD_TYPES "{,.sat,.add}", "w=www"},
    {"vavrg{2,4}." WORD_TYPES "{,.sat,.add}", "w=www"},
    {"vset{2,4}.{u32,s32}.{u32,s32}.{eq,ne,lt,le,gt,ge}{,.add}", "w=www"},
    {"{vadd,vsub,vavrg,vabsdiff,vmin,vmax}2.s32.u32.s32{,.sat,.add} %r" MASKS2
     ", %a0.{h01,h32,h20}, %a1.{h00,h31}, %a2",
     "w=www"},
    {"{vadd,vsub,vavrg,vabsdiff,vmin,vmax}4.u32.s32.u32{,.sat,.add} %r" MASKS4
     ", %a0.{b0123,b7654,b5050}, %a1.{b1111,b4703}, %a2",
     "w=www"},
    {"vset2.s32.u32.lt{,.add} %r" MASKS2 ", %a0.h21, %a1, %a2", "w=www"},
    {"vset4.u32.s32.ge{,.add} %r" MASKS4 ", %a0, %a1.b2604, %a2", "w=www"},
};

static const struct form_row pack_rows[] = {
    {"cvt.pack.sat.{u16,s16}.s32", "w=ww"},
    {"cvt.pack.sat.{u8,s8,u4,s4,u2,s2}.s32.b32", "w=www"},
    {"cvt{.rn,.rz}{,.relu}{,.satfinite}.{f16,bf16}.f32", "0=1"},
    {"cvt{.rn,.rz}{,.relu}{,.satfinite}.{f16x2,bf16x2}.f32", "0=11"},
    {"cvt{.rn,.rz}{,.relu}{,.satfinite}.tf32.f32", "w=1"},
    {"cvt.rna{,.satfinite}.tf32.f32", "w=1"},
    {"cvt.rn.f16.bf16", "0=1"},
    {"cvt.rn.bf16.{f16,f64,u16,s16,u32,s32,u64,s64}", "0=1"},
    {"cvt" ROUND_INTEGRAL ".{u16,s16,u32,s32,u64,s64}.bf16", "0=1"},
    {"cvt.{f32,f64}.bf16", "0=1"},
    {"{add,sub}" ROUND_OR_NONE "{,.sat}.f32.{f16,bf16}", "0=10"},
    {"fma" ROUND "{,.sat}.f32.{f16,bf16}", "0=110"},
    {"{min,max}{,.ftz}{,.NaN}{,.abs}.f32", "0=000"},
};

#define HALF_COMPARE "{eq,ne,lt,le,gt,ge,equ,neu,ltu,leu,gtu,geu,num,nan}"

static const struct form_row set_rows[] = {
    {"set." HALF_COMPARE "{,.ftz}.{u32,s32,f16}.f16", "0=11"},
    {"set." HALF_COMPARE "{,.ftz}.{u32,s32,f16x2}.f16x2", "0=11"},
    {"set." HALF_COMPARE ".{u16,s16,u32,s32,bf16}.bf16", "0=11"},
    {"set." HALF_COMPARE ".{u32,s32,bf16x2}.bf16x2", "0=11"},
    {"set.{ne,ltu}.{and,or,xor}{,.ftz}.{u32,f16}.f16", "0=11p"},
    {"set.{ne,ltu}.{and,or,xor}{,.ftz}.{u32,f16x2}.f16x2", "0=11p"},
    {"set.{ge,nan}.{and,or,xor}.{u32,bf16x2}.bf16x2", "0=11p"},
    {"set.{lo,ls,hi,hs}.{u32,f32}.{u16,u32,u64}", "0=11"},
    {"set.{eq,ne}.{u32,s32,f32}.{b16,b32,b64}", "0=11"},
    {"set." FLOAT_COMPARE "{,.ftz}.{u32,s32,f32}.f32", "0=11"},
    {"set." FLOAT_COMPARE ".{u32,s32,f32}.f64", "0=11"},
    {"setp." HALF_COMPARE "{,.ftz}.f16", "P=00"},
    {"setp." HALF_COMPARE "{,.ftz}.f16x2", "P=00"},
    {"setp." HALF_COMPARE ".{bf16,bf16x2}", "P=00"},
    {"setp.{ne,ltu}.{and,or,xor}{,.ftz}.{f16,f16x2}", "P=00p"},
    {"setp.{ne,ltu}.{and,or,xor}.{bf16,bf16x2}", "P=00p"},
    {"slct.{b16,u16,s16,s32,u64}.s32", "0=001"},
    {"slct{,.ftz}.{b16,u16,s16,u32,s32,u64,s64}.f32", "0=001"},
    {"lop3.{or,and}.b32 %r|%q, %a0, %a1, %a2, {0x80,0x96,0x01}, %a3", "w=wwwp"},
    {"lop3.{or,and}.b32 _|%r, %a0, %a1, %a2, {0x80,0x01}, !%a3", "p=wwwp"},
    {"{min,max}.relu.{s32,s16x2}", "w=ww"},
    {"{min,max}.{u16x2,s16x2}", "w=ww"},
    {"add.{u16x2,s16x2}", "w=ww"},
};

#define TABLE(rows) rows, sizeof rows / sizeof *rows
const struct form_table form_tables[] = {
    {"integer", TABLE(integer_rows), false},
    {"logic", TABLE(logic_rows), false},
    {"float", TABLE(float_rows), false},
    {"compare", TABLE(compare_rows), false},
    {"convert integer", TABLE(convert_integer_rows), false},
    {"convert float", TABLE(convert_float_rows), false},
    {"bits", TABLE(bits_rows), false},
    {"arithmetic", TABLE(arithmetic_rows), false},
    {"mathematics", TABLE(mathematics_rows), false},
    {"memory", TABLE(memory_rows), false},
    {"atomic", TABLE(atomic_rows), false},
    {"half", TABLE(half_rows), true},
    {"video", TABLE(video_rows), false},
    {"video, many parts", TABLE(simd_rows), false},
    {"set", TABLE(set_rows), false},
    {"pack", TABLE(pack_rows), false},
    {"every value of 16 bits", TABLE(every_rows), false, true},
};
const size_t form_table_count = sizeof form_tables / sizeof *form_tables;
