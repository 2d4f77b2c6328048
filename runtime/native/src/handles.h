// What stands behind the handles of smartmem.h: shared pointers; and how exceptions become codes.
#pragma once

#include <memory>
#include <new>

#include "bundle.h"
#include "session.h"
#include "smartmem.h"

struct sm_device {
  std::shared_ptr<const smartmem::Device> device;
};
struct sm_bundle {
  smartmem::Bundle bundle;
};
struct sm_model {
  std::shared_ptr<const smartmem::Model> model;
};
struct sm_session {
  std::unique_ptr<smartmem::Session> session;
};

namespace smartmem {

inline sm_code report(sm_error* error, sm_code code, const char* message) {
  if (error != nullptr) {
    error->code = code;
    copy_text(error->message, message);
  }
  return code;
}

// Runs `work` and turns what it throws into a code.
template <class Work>
sm_code guarded(sm_error* error, Work work) {
  try {
    work();
    return report(error, SM_OK, "");
  } catch (const Error& failure) {
    return report(error, failure.code(), failure.what());
  } catch (const std::bad_alloc&) {
    return report(error, SM_OUT_OF_MEMORY, "out of host memory");
  } catch (const std::exception& failure) {
    return report(error, SM_DEVICE_FAILED, failure.what());
  }
}

template <class Pointer>
void require(Pointer pointer, const char* name) {
  if (pointer == nullptr) fail(SM_INVALID_ARGUMENT, name, " is NULL");
}

}  // namespace smartmem
