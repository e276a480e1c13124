/* Hides newer instructions from a process, so that a library takes the code path of an older x86.

   Linux lets a thread turn CPUID into a fault (arch_prctl(2), ARCH_SET_CPUID, on processors with
   CPUID faulting). The handler of that fault runs the instruction itself and clears bits of what
   it says. Threads started later inherit it. */

#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { ARCH_SET_CPUID = 0x1012 };

/* Bits of CPUID leaf 7 (Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2). */
#define BIT(n) (UINT32_C(1) << (n))
/* Sub-leaf 0. EBX: AVX512 F, DQ, IFMA, PF, ER, CD, BW, VL. ECX: VBMI, VBMI2, BITALG, VPOPCNTDQ. */
#define AVX512_EBX                                                                             \
  (BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31))
#define AVX512_ECX (BIT(1) | BIT(6) | BIT(12) | BIT(14))
#define AVX512_VNNI_ECX BIT(11)
/* EDX: AVX512 4VNNIW, 4FMAPS, VP2INTERSECT, FP16. */
#define AVX512_EDX (BIT(2) | BIT(3) | BIT(8) | BIT(23))
/* EDX: AMX BF16, TILE, INT8. */
#define AMX_EDX (BIT(22) | BIT(24) | BIT(25))
/* Sub-leaf 1. EAX: AVX-VNNI, AVX512 BF16, AMX FP16. EDX: AVX-VNNI INT8 and INT16, AVX10. */
#define NEWER_EAX (BIT(4) | BIT(5) | BIT(21))
#define NEWER_EDX (BIT(4) | BIT(10) | BIT(19))

static int hide_avx512;

static void answer(int number, siginfo_t *info, void *context) {
  greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  const uint8_t *instruction = (const uint8_t *)registers[REG_RIP];
  (void)info;
  if (instruction[0] != 0x0f || instruction[1] != 0xa2) { /* not CPUID: a fault of its own */
    signal(number, SIG_DFL);
    return;
  }
  const uint32_t leaf = registers[REG_RAX], sub_leaf = registers[REG_RCX];
  uint32_t eax = leaf, ebx, ecx = sub_leaf, edx;
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1UL);
  __asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
  syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0UL);
  if (leaf == 7 && sub_leaf == 0) {
    ecx &= ~AVX512_VNNI_ECX;
    edx &= ~AMX_EDX;
    if (hide_avx512) {
      ebx &= ~AVX512_EBX;
      ecx &= ~AVX512_ECX;
      edx &= ~AVX512_EDX;
    }
  } else if (leaf == 7 && sub_leaf == 1) {
    eax &= ~NEWER_EAX;
    edx &= ~NEWER_EDX;
  }
  registers[REG_RAX] = eax;
  registers[REG_RBX] = ebx;
  registers[REG_RCX] = ecx;
  registers[REG_RDX] = edx;
  registers[REG_RIP] += 2;
}

/* Hide VNNI and AMX, and all of AVX512 too if asked. Returns 0, or -1 where it can't be done. */
int hide_vnni(int avx512_too) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_sigaction = answer;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  hide_avx512 = avx512_too;
  if (sigaction(SIGSEGV, &action, NULL) != 0)
    return -1;
  return (int)syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0UL);
}
