/* The three kernels, as PTX and as the C loops that they are measured against. */
#ifndef WEFT_BENCH_PTX_KERNELS_H
#define WEFT_BENCH_PTX_KERNELS_H

#include <stdint.h>

/* y[i] = a x[i] + y[i] for i < n. */
#define SAXPY_INSNS 20 /* that a lane in bounds executes */
static const char saxpy_text[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry saxpy(.param .u64 x, .param .u64 y, .param .f32 a, .param .u32 n)\n{\n"
    ".reg .pred %p<2>;\n.reg .f32 %f<5>;\n.reg .b32 %r<6>;\n.reg .b64 %rd<8>;\n"
    "ld.param.u64 %rd1, [x];\nld.param.u64 %rd2, [y];\nld.param.f32 %f1, [a];\n"
    "ld.param.u32 %r2, [n];\nmov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\n"
    "mov.u32 %r5, %tid.x;\nmad.lo.s32 %r1, %r3, %r4, %r5;\nsetp.ge.s32 %p1, %r1, %r2;\n"
    "@%p1 bra DONE;\ncvta.to.global.u64 %rd3, %rd1;\nmul.wide.s32 %rd4, %r1, 4;\n"
    "add.s64 %rd5, %rd3, %rd4;\nld.global.f32 %f2, [%rd5];\ncvta.to.global.u64 %rd6, %rd2;\n"
    "add.s64 %rd7, %rd6, %rd4;\nld.global.f32 %f3, [%rd7];\nfma.rn.f32 %f4, %f2, %f1, %f3;\n"
    "st.global.f32 [%rd7], %f4;\nDONE:\nret;\n}\n";

/* The inner loop of a tiled product: 32 × 32 tiles in shared memory, `rounds` products of one row
 * and one column. */
#define MATMUL_TILE 32
#define MATMUL_STEP_INSNS 17 /* four products */
static const char matmul_text[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry matmul(.param .u64 out, .param .u32 rounds)\n{\n"
    ".reg .pred %p<2>;\n.reg .f32 %f<16>;\n.reg .b32 %r<16>;\n.reg .b64 %rd<4>;\n"
    ".shared .align 4 .b8 a[4096];\n.shared .align 4 .b8 b[4096];\n"
    "ld.param.u64 %rd1, [out];\nld.param.u32 %r9, [rounds];\n"
    "mov.u32 %r1, %tid.x;\nmov.u32 %r2, %tid.y;\nmov.u32 %r3, a;\nmov.u32 %r4, b;\n"
    "shl.b32 %r5, %r2, 7;\nadd.s32 %r3, %r3, %r5;\nshl.b32 %r6, %r1, 2;\n"
    "add.s32 %r4, %r4, %r6;\nadd.s32 %r7, %r3, %r6;\nadd.s32 %r8, %r4, %r5;\n"
    "cvt.rn.f32.u32 %f1, %r1;\ncvt.rn.f32.u32 %f2, %r2;\nst.shared.f32 [%r7], %f1;\n"
    "st.shared.f32 [%r8], %f2;\nbar.sync 0;\nmov.f32 %f3, 0f00000000;\nmov.u32 %r14, 0;\n"
    "OUTER:\nmov.u32 %r10, 0;\nmov.u32 %r11, %r3;\nmov.u32 %r12, %r4;\n"
    "INNER:\n"
    "ld.shared.f32 %f4, [%r11];\nld.shared.f32 %f5, [%r12];\nfma.rn.f32 %f3, %f4, %f5, %f3;\n"
    "ld.shared.f32 %f6, [%r11+4];\nld.shared.f32 %f7, [%r12+128];\nfma.rn.f32 %f3, %f6, %f7, %f3;\n"
    "ld.shared.f32 %f8, [%r11+8];\nld.shared.f32 %f9, [%r12+256];\nfma.rn.f32 %f3, %f8, %f9, %f3;\n"
    "ld.shared.f32 %f10, [%r11+12];\nld.shared.f32 %f11, [%r12+384];\n"
    "fma.rn.f32 %f3, %f10, %f11, %f3;\n"
    "add.s32 %r11, %r11, 16;\nadd.s32 %r12, %r12, 512;\nadd.s32 %r10, %r10, 4;\n"
    "setp.ne.s32 %p1, %r10, 32;\n@%p1 bra INNER;\n"
    "add.s32 %r14, %r14, 1;\nsetp.lt.u32 %p1, %r14, %r9;\n@%p1 bra OUTER;\n"
    "mad.lo.u32 %r13, %r2, 32, %r1;\nmad.wide.u32 %rd1, %r13, 4, %rd1;\n"
    "st.global.f32 [%rd1], %f3;\nret;\n}\n";

/* Iterations until |z| > 2, at most `limit`, for each pixel. */
#define MANDELBROT_OTHER_INSNS 20 /* before and after the loop */
#define MANDELBROT_ROUND_INSNS 12 /* of an iteration that goes on */
static const char mandelbrot_text[] =
    ".version 8.0\n.target sm_75\n.address_size 64\n"
    ".visible .entry mandelbrot(.param .u64 out, .param .u32 width, .param .f32 scale,\n"
    ".param .u32 limit)\n{\n"
    ".reg .pred %p<3>;\n.reg .f32 %f<16>;\n.reg .b32 %r<12>;\n.reg .b64 %rd<4>;\n"
    "ld.param.u64 %rd1, [out];\nld.param.u32 %r1, [width];\nld.param.f32 %f1, [scale];\n"
    "ld.param.u32 %r2, [limit];\nmov.u32 %r3, %ctaid.x;\nmov.u32 %r4, %ntid.x;\n"
    "mov.u32 %r5, %tid.x;\nmad.lo.u32 %r6, %r3, %r4, %r5;\nrem.u32 %r7, %r6, %r1;\n"
    "div.u32 %r8, %r6, %r1;\ncvt.rn.f32.u32 %f2, %r7;\ncvt.rn.f32.u32 %f3, %r8;\n"
    "fma.rn.f32 %f4, %f2, %f1, 0fC0000000;\nfma.rn.f32 %f5, %f3, %f1, 0fBFA00000;\n"
    "mov.f32 %f6, 0f00000000;\nmov.f32 %f7, 0f00000000;\nmov.u32 %r9, 0;\n"
    "LOOP:\nmul.f32 %f8, %f6, %f6;\nmul.f32 %f9, %f7, %f7;\nadd.f32 %f10, %f8, %f9;\n"
    "setp.gt.f32 %p1, %f10, 0f40800000;\n@%p1 bra DONE;\n"
    "sub.f32 %f11, %f8, %f9;\nadd.f32 %f12, %f6, %f6;\nfma.rn.f32 %f7, %f12, %f7, %f5;\n"
    "add.f32 %f6, %f11, %f4;\nadd.s32 %r9, %r9, 1;\nsetp.lt.u32 %p2, %r9, %r2;\n@%p2 bra LOOP;\n"
    "DONE:\nmad.wide.u32 %rd2, %r6, 4, %rd1;\nst.global.u32 [%rd2], %r9;\nret;\n}\n";

void native_saxpy(float *y, const float *x, float a, uint32_t n);
void native_matmul(float *out, const float *a, const float *b, uint32_t rounds);
void native_mandelbrot(uint32_t *out, uint32_t width, uint32_t pixels, float scale, uint32_t limit);

#endif
