/* smartmem's Vulkan executor: runs the schedule of a compiled model.
 *
 *   sm_device_open ──► sm_bundle_load ──► sm_session_create ──► sm_session_run
 *   a GPU              weights,           memory and commands    inputs in,
 *                      pipelines          of one call            outputs out
 *
 * sm_session_open does all that comes before the first run; examples/run.c shows it.
 * A model is loaded once and serves any number of sessions; a session runs one call at a time.
 * Every function may be called from any thread; calls of one session wait for one another.
 * Handles keep what they need alive, so they may be released in any order.
 *
 * Functions return SM_OK or the code of what went wrong; then, where `error` is not NULL, it holds
 * the code and a message. No exception crosses this border, and a failed call leaves no result.
 * After SM_DEVICE_LOST only releasing is of use.
 */
#ifndef SMARTMEM_H_
#define SMARTMEM_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of this file; a library with another one is not for programs built with this. */
#define SM_API_VERSION 3

#if defined(_WIN32)
#define SM_API __declspec(dllexport)
#else
#define SM_API __attribute__((visibility("default")))
#endif

typedef enum sm_code {
  SM_OK = 0,
  SM_INVALID_ARGUMENT = 1, /* a size, a number or a pointer that does not fit */
  SM_BAD_FILE = 2,         /* a schedule, kernel or archive that is missing or damaged */
  SM_NO_VULKAN = 3,        /* no loader, or no device of that identity */
  SM_UNSUPPORTED = 4,      /* the device lacks a feature, or a limit is too low */
  SM_OUT_OF_MEMORY = 5,    /* of the host or of the device */
  SM_DEVICE_LOST = 6,
  SM_DEVICE_FAILED = 7, /* any other answer of the driver */
  SM_TIMEOUT = 8,
  SM_CANCELLED = 9 /* by sm_session_cancel */
} sm_code;

typedef struct sm_error {
  sm_code code;
  char message[500];
} sm_error;

typedef enum sm_device_kind {
  SM_DEVICE_OTHER = 0,
  SM_DEVICE_INTEGRATED = 1,
  SM_DEVICE_DISCRETE = 2,
  SM_DEVICE_VIRTUAL = 3,
  SM_DEVICE_CPU = 4
} sm_device_kind;

typedef struct sm_device_info {
  char name[256];
  char driver[256];
  char driver_info[256];
  uint8_t uuid[16];     /* the identity, the same in every process */
  uint32_t api_version; /* as Vulkan packs it */
  sm_device_kind kind;
} sm_device_info;

typedef struct sm_device sm_device;
typedef struct sm_bundle sm_bundle;
typedef struct sm_model sm_model;
typedef struct sm_session sm_session;

/* How to wait for the GPU: a poll answers soonest and keeps a core busy. */
typedef enum sm_wait { SM_WAIT_BLOCK = 0, SM_WAIT_POLL = 1 } sm_wait;

/* An input or output as the model's kernels see it; what is pointed to is the bundle's. */
typedef struct sm_tensor {
  const char* name;
  const char* dtype; /* float32, float16, bfloat16, int32, int8, uint8 or bool */
  const uint64_t* shape;
  size_t rank;
  size_t size_bytes;
} sm_tensor;

typedef struct sm_model_stats {
  uint64_t weights_bytes;   /* device memory of the weights */
  uint64_t transient_bytes; /* what each session's scratch memory takes */
  uint32_t kernels;         /* distinct pipelines */
  uint32_t commands;        /* dispatches, fills and copies of one call */
  uint32_t barriers;        /* between them */
  uint32_t cache_hit;       /* 1: the pipelines came from the cache on disk */
  double weights_ms;        /* reading and uploading the weights */
  double pipelines_ms;      /* creating the pipelines */
} sm_model_stats;

typedef struct sm_times {
  double gpu_ms;    /* from the first command to the last, by the GPU's clock; 0 if unknown */
  double submit_ms; /* in the submitting call */
  double wait_ms;   /* in the waiting call */
} sm_times;

/* How a session's weights move. Memory is what was allocated of the device for them. */
typedef enum sm_copies {
  SM_COPIES_BY_HOST = 0,        /* the host writes where kernels read */
  SM_COPIES_ON_A_QUEUE = 1,     /* a queue of their own: beside kernels */
  SM_COPIES_BETWEEN_KERNELS = 2 /* the device has one queue: the two take turns */
} sm_copies;

typedef struct sm_stream_stats {
  uint64_t budget_bytes;
  uint64_t smallest_budget_bytes; /* below it there is no plan */
  uint64_t whole_budget_bytes;    /* from it on nothing moves */
  uint64_t fixed_bytes;           /* weights that stay under any plan; the model's */
  uint64_t pinned_bytes;          /* weights that stay under this one */
  uint64_t arena_bytes;           /* where the others come and go */
  uint64_t staging_bytes;         /* what they are read into first; the host's, beside the budget */
  uint64_t streamed_bytes;        /* read in each call */
  uint32_t steps;                 /* submissions of a call */
  sm_copies copies;
  uint64_t read_bytes; /* since the budget was set, and in so many reads */
  uint64_t reads;
  double read_ms;  /* in reading and comparing checksums */
  double stall_ms; /* in which nothing could be submitted for want of weights */
} sm_stream_stats;

typedef enum sm_interval_kind {
  SM_INTERVAL_STEP = 0, /* commands on the GPU; number: the step */
  SM_INTERVAL_COPY = 1, /* a copy on the GPU; number: the load, in the order of need */
  SM_INTERVAL_READ = 2  /* reading the file and comparing checksums; number: the load */
} sm_interval_kind;

/* When something happened, in nanoseconds of the host's clock since the call was submitted. */
typedef struct sm_interval {
  sm_interval_kind kind;
  uint32_t number;
  int64_t start_ns;
  int64_t end_ns;
} sm_interval;

SM_API uint32_t sm_api_version(void);

/* Reads weights from then on, instead of pread(2): for who limits, counts or fails reads. Gives the
 * bytes that it read, at most `size_bytes`, 0 at the end of the file, and a negative errno where it
 * cannot. It is called from any thread; NULL is the system's. */
typedef int64_t (*sm_reader)(void* context, const char* path, uint64_t offset, void* data,
                             size_t size_bytes);
SM_API void sm_set_reader(sm_reader reader, void* context);

/* Where Vulkan comes from: a vkGetInstanceProcAddr of the caller's, such as an application's own
 * loader; NULL is the system's. For devices opened afterwards. */
SM_API void sm_set_vulkan(void* get_instance_proc_addr);

/* Writes up to `capacity` devices and the number that there are. */
SM_API sm_code sm_devices(sm_device_info* infos, size_t capacity, size_t* count, sm_error* error);

SM_API sm_code sm_device_open(const uint8_t uuid[16], sm_device** device, sm_error* error);
SM_API void sm_device_close(sm_device* device);

/* Device memory that this library holds there now, and the most that it ever held. */
SM_API void sm_device_get_memory(const sm_device* device, uint64_t* now_bytes,
                                 uint64_t* peak_bytes);

/* Writes what the device offers to models as JSON, and the bytes that takes with the zero at its
 * end; where those are more than `capacity`, nothing else. */
SM_API sm_code sm_device_describe(sm_device* device, char* json, size_t capacity, size_t* size,
                                  sm_error* error);

/* The folder of a compiled model, MODEL.smartmem. Opening reads its manifest only. */
SM_API sm_code sm_bundle_open(const char* folder, sm_bundle** bundle, sm_error* error);
SM_API void sm_bundle_release(sm_bundle* bundle);

/* What it was compiled for and this library can run; NULL for an index that does not exist. */
SM_API size_t sm_bundle_target_count(const sm_bundle* bundle);
SM_API const char* sm_bundle_target(const sm_bundle* bundle, size_t index);

/* The budget for weights in bytes that it was compiled with; 0 for none. */
SM_API uint64_t sm_bundle_target_budget(const sm_bundle* bundle, size_t index);

/* Inputs and outputs, in the order of a call. */
SM_API size_t sm_bundle_input_count(const sm_bundle* bundle);
SM_API size_t sm_bundle_output_count(const sm_bundle* bundle);
SM_API sm_code sm_bundle_input(const sm_bundle* bundle, size_t index, sm_tensor* tensor,
                               sm_error* error);
SM_API sm_code sm_bundle_output(const sm_bundle* bundle, size_t index, sm_tensor* tensor,
                                sm_error* error);

/* Loads the model compiled for `target`, which may be NULL where there is one only. Pipelines are
 * kept in `cache_folder`, which may be NULL. */
SM_API sm_code sm_bundle_load(const sm_bundle* bundle, sm_device* device, const char* target,
                              const char* cache_folder, sm_model** model, sm_error* error);

/* The same on the first GPU, up to a session, under the budget that the model was compiled with if
 * there is one. The bundle may be released afterwards. */
SM_API sm_code sm_session_open(const sm_bundle* bundle, const char* target,
                               const char* cache_folder, sm_session** session, sm_error* error);

/* The same with at most `budget_bytes` of device memory for weights: what does not fit is read from
 * the archive in each call. Outputs are the same to the last bit. SM_INVALID_ARGUMENT below the
 * smallest budget that does, with that in the message. */
SM_API sm_code sm_session_open_within(const sm_bundle* bundle, const char* target,
                                      const char* cache_folder, uint64_t budget_bytes,
                                      sm_session** session, sm_error* error);

/* Loads all but the weights: its sessions bring them, each under a budget of its own. */
SM_API sm_code sm_bundle_stream(const sm_bundle* bundle, sm_device* device, const char* target,
                                const char* cache_folder, sm_model** model, sm_error* error);

/* What sm_bundle_load does, from files anywhere: reads `schedule`, the kernels in `kernels_folder`
 * and the archive `weights`, and uploads the weights. */
SM_API sm_code sm_model_load(sm_device* device, const char* schedule, const char* kernels_folder,
                             const char* weights, const char* cache_folder, sm_model** model,
                             sm_error* error);
/* And what sm_bundle_stream does, which also reads stream.json where that lies beside `schedule`. */
SM_API sm_code sm_model_stream(sm_device* device, const char* schedule, const char* kernels_folder,
                               const char* weights, const char* cache_folder, sm_model** model,
                               sm_error* error);
SM_API void sm_model_release(sm_model* model);

/* Of a model that streams its weights: the smallest budget that a session can have, and the one
 * from which on nothing moves. Both are 0 for a model with all its weights loaded. */
SM_API void sm_model_get_budgets(const sm_model* model, uint64_t* smallest_bytes,
                                 uint64_t* whole_bytes);

/* The budget that a model was compiled with: under it its sessions follow the plan that came with
 * the model, where the device can. 0 for a model without, and for one with all weights loaded. */
SM_API uint64_t sm_model_get_compiled_budget(const sm_model* model);

/* The smallest budget under which calls are predicted to take at most `slowdown` times as long as
 * with all weights in memory. SM_INVALID_ARGUMENT where the model does not tell how long its
 * commands may take. What is called "auto" is SM_AUTO_SLOWDOWN. */
#define SM_AUTO_SLOWDOWN 1.5
SM_API sm_code sm_model_choose_budget(const sm_model* model, double slowdown,
                                      uint64_t* budget_bytes, sm_error* error);

/* How many inputs and outputs there are, and the size of each; an input of 0 bytes is not read. */
SM_API size_t sm_model_input_count(const sm_model* model);
SM_API size_t sm_model_output_count(const sm_model* model);
SM_API size_t sm_model_input_bytes(const sm_model* model, size_t index);
SM_API size_t sm_model_output_bytes(const sm_model* model, size_t index);
SM_API void sm_model_get_stats(const sm_model* model, sm_model_stats* stats);

/* What a command of the schedule is: its kernel's entry point, "fill" or "copy"; NULL for an index
 * that does not exist. */
SM_API const char* sm_model_command_name(const sm_model* model, size_t index);

SM_API sm_code sm_session_create(sm_model* model, sm_session** session, sm_error* error);
/* Of a model that streams its weights: with at most so many bytes of device memory for them. */
SM_API sm_code sm_session_create_within(sm_model* model, uint64_t budget_bytes,
                                        sm_session** session, sm_error* error);
SM_API void sm_session_release(sm_session* session);

/* Another budget, from the next call on: waits for the one that goes on, gives the memory back, and
 * plans anew. Where the budget is too small, the old one stays. */
SM_API sm_code sm_session_set_budget(sm_session* session, uint64_t budget_bytes, sm_error* error);

/* How long one read of weights may take before a call ends with SM_TIMEOUT; 30 s at first. */
SM_API sm_code sm_session_set_read_limit(sm_session* session, uint64_t nanoseconds,
                                         sm_error* error);

/* Ends a call that streams weights, from any thread: waiting for it gives SM_CANCELLED, unless all
 * of it was submitted already. The next call works. Other calls cannot be ended. */
SM_API void sm_session_cancel(sm_session* session);

/* How weights move in a session with a budget. */
SM_API sm_code sm_session_get_stream(sm_session* session, sm_stream_stats* stats, sm_error* error);

/* Writes up to `capacity` intervals of the last call and their number: each step, and what was read
 * and copied in that time, for this call or for the next. None where the device has no clock. The
 * number may differ from one asking to the next: reading goes on. */
SM_API sm_code sm_session_get_intervals(sm_session* session, sm_interval* intervals,
                                        size_t capacity, size_t* count, sm_error* error);

/* One call: all inputs and outputs, in the model's order and of its sizes. */
SM_API sm_code sm_session_run(sm_session* session, const void* const* inputs, void* const* outputs,
                              sm_wait wait, sm_error* error);

/* The same in steps: submit returns at once; wait takes nanoseconds, UINT64_MAX is for ever. */
SM_API sm_code sm_session_set_input(sm_session* session, size_t index, const void* data,
                                    size_t size_bytes, sm_error* error);
SM_API sm_code sm_session_submit(sm_session* session, sm_error* error);
SM_API sm_code sm_session_wait(sm_session* session, sm_wait wait, uint64_t timeout_ns,
                               sm_error* error);
SM_API sm_code sm_session_get_output(sm_session* session, size_t index, void* data,
                                     size_t size_bytes, sm_error* error);

/* Where an input is read and an output written, for who wants no copy: a run that is given this
 * pointer copies nothing. The memory is the session's; outputs hold until the next call. NULL for
 * an input that is not read, and for an index that does not exist. */
SM_API void* sm_session_input_memory(sm_session* session, size_t index);
SM_API const void* sm_session_output_memory(sm_session* session, size_t index);

/* Times of the last finished call. */
SM_API sm_code sm_session_get_times(sm_session* session, sm_times* times, sm_error* error);

/* Runs the model once on the inputs it has, one command after another, and writes the nanoseconds
 * of each command in the schedule's order; `count` is the number of commands. */
SM_API sm_code sm_session_profile(sm_session* session, double* times_ns, size_t count,
                                  sm_error* error);

#ifdef __cplusplus
}
#endif
#endif /* SMARTMEM_H_ */
