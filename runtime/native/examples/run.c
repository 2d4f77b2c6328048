/* Runs a compiled model once: MODEL.smartmem, then a file of raw bytes for each input, whose
 * results are printed as sums of their bytes.
 *
 *   cc -I../include run.c -o run -L../build -lsmartmem && ./run net.smartmem image.raw
 */
#include <smartmem.h>
#include <stdio.h>
#include <stdlib.h>

static sm_error error;

static void check(sm_code code) {
  if (code == SM_OK) return;
  fprintf(stderr, "%s\n", error.message);
  exit(1);
}

/* The inputs are filled in where the GPU reads them. */
static void read_input(const char* path, void* memory, size_t size_bytes) {
  FILE* file = fopen(path, "rb");
  if (file == NULL || fread(memory, 1, size_bytes, file) != size_bytes) {
    fprintf(stderr, "%s: not %zu bytes\n", path, size_bytes);
    exit(1);
  }
  fclose(file);
}

int main(int count, char** arguments) {
  sm_bundle* bundle = NULL;
  sm_session* session = NULL;
  sm_tensor tensor;
  size_t i, k;

  if (sm_api_version() != SM_API_VERSION || count < 2) return 1;
  check(sm_bundle_open(arguments[1], &bundle, &error));
  check(sm_session_open(bundle, NULL, NULL, &session, &error));
  if ((size_t)count != 2 + sm_bundle_input_count(bundle)) return 1;

  for (i = 0; i < sm_bundle_input_count(bundle); ++i) {
    void* memory = sm_session_input_memory(session, i);
    check(sm_bundle_input(bundle, i, &tensor, &error));
    if (memory != NULL) read_input(arguments[2 + i], memory, tensor.size_bytes);
  }
  check(sm_session_submit(session, &error));
  check(sm_session_wait(session, SM_WAIT_BLOCK, UINT64_MAX, &error));

  for (i = 0; i < sm_bundle_output_count(bundle); ++i) {
    const unsigned char* memory = sm_session_output_memory(session, i);
    unsigned long sum = 0;
    check(sm_bundle_output(bundle, i, &tensor, &error));
    for (k = 0; k < tensor.size_bytes; ++k) sum += memory[k];
    printf("%s %s %zu bytes, sum %lu\n", tensor.name, tensor.dtype, tensor.size_bytes, sum);
  }
  sm_session_release(session);
  sm_bundle_release(bundle);
  return 0;
}
