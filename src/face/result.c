#include "face/face.h"

CUresult weft_face_result(int code)
{
    switch (code < 0 ? -code : code) {
    case WEFT_OK:
        return CUDA_SUCCESS;
    case WEFT_EINVAL:
    case WEFT_ERANGE:
        return CUDA_ERROR_INVALID_VALUE;
    case WEFT_ENOMEM:
    case WEFT_ELIMIT:
        return CUDA_ERROR_OUT_OF_MEMORY;
    case WEFT_ENOENT:
        return CUDA_ERROR_NO_DEVICE;
    case WEFT_EEXIST:
    case WEFT_EPERM:
        return CUDA_ERROR_NOT_PERMITTED;
    case WEFT_EBUSY:
        return CUDA_ERROR_DEVICE_UNAVAILABLE;
    case WEFT_ENOSYS:
        return CUDA_ERROR_NOT_SUPPORTED;
    case WEFT_ECONN:
    case WEFT_EPROTO:
        return CUDA_ERROR_SYSTEM_NOT_READY;
    case WEFT_EVERSION:
        return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
    case WEFT_EIO:
        return CUDA_ERROR_OPERATING_SYSTEM;
    case WEFT_ESYNTAX:
        return CUDA_ERROR_INVALID_PTX;
    case WEFT_EFAULT:
        return CUDA_ERROR_ILLEGAL_ADDRESS;
    case WEFT_ETIMEDOUT:
        return CUDA_ERROR_TIMEOUT;
    default:
        return CUDA_ERROR_UNKNOWN;
    }
}
