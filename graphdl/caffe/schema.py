"""The messages of Caffe's files, as far as the import reads them: ``.prototxt`` has them as text, ``.caffemodel`` as
protocol buffers.

The classes are built from a table of field names, numbers and defaults, which are facts of the format. Fields that the
table does not have are skipped in both forms.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from typing import Any

from graphdl.diagnostics import Diagnostic, ModelError

_TABLE = """
BlobShape: dim 1 int*
BlobProto: num 1 int, channels 2 int, height 3 int, width 4 int, data 5 bytes, shape 7 BlobShape, double_data 8 bytes
NetState: phase 1 {TRAIN TEST}=TEST, level 2 int, stage 3 string*
NetStateRule: phase 1 {TRAIN TEST}, min_level 2 int, max_level 3 int, stage 4 string*, not_stage 5 string*
NetParameter: name 1 string, layers 2 V1LayerParameter*, input 3 string*, input_dim 4 int*, state 6 NetState,
  input_shape 8 BlobShape*, layer 100 LayerParameter*
ParamSpec: name 1 string
LayerParameter: name 1 string, type 2 string, bottom 3 string*, top 4 string*, param 6 ParamSpec*, blobs 7 BlobProto*,
  include 8 NetStateRule*, exclude 9 NetStateRule*, argmax_param 103 ArgMax, concat_param 104 Concat,
  convolution_param 106 Convolution, dropout_param 108 Dropout, dummy_data_param 109 DummyData,
  eltwise_param 110 Eltwise, exp_param 111 Exp, inner_product_param 117 InnerProduct, lrn_param 118 LRN,
  memory_data_param 119 MemoryData, mvn_param 120 MVN, pooling_param 121 Pooling, power_param 122 Power,
  relu_param 123 ReLU, softmax_param 125 Softmax, slice_param 126 Slice, threshold_param 128 Threshold,
  prelu_param 131 PReLU, reshape_param 133 Reshape, log_param 134 Log, flatten_param 135 Flatten,
  reduction_param 136 Reduction, embed_param 137 Embed, tile_param 138 Tile, batch_norm_param 139 BatchNorm,
  elu_param 140 ELU, bias_param 141 Bias, scale_param 142 Scale, input_param 143 Input, crop_param 144 Crop,
  swish_param 147 Swish, clip_param 148 Clip, permute_param 202 Permute
V1LayerParameter: bottom 2 string*, top 3 string*, name 4 string, type 5 {NONE ACCURACY BNLL CONCAT CONVOLUTION DATA
  DROPOUT EUCLIDEAN_LOSS FLATTEN HDF5_DATA HDF5_OUTPUT IM2COL IMAGE_DATA INFOGAIN_LOSS INNER_PRODUCT LRN
  MULTINOMIAL_LOGISTIC_LOSS POOLING RELU SIGMOID SOFTMAX SOFTMAX_LOSS SPLIT TANH WINDOW_DATA ELTWISE POWER
  SIGMOID_CROSS_ENTROPY_LOSS HINGE_LOSS MEMORY_DATA ARGMAX THRESHOLD DUMMY_DATA SLICE MVN ABSVAL SILENCE
  CONTRASTIVE_LOSS EXP DECONVOLUTION}, blobs 6 BlobProto*, param 1001 string*, include 32 NetStateRule*,
  exclude 33 NetStateRule*, concat_param 9 Concat, convolution_param 10 Convolution, dropout_param 12 Dropout,
  inner_product_param 17 InnerProduct, lrn_param 18 LRN, pooling_param 19 Pooling, power_param 21 Power,
  memory_data_param 22 MemoryData, argmax_param 23 ArgMax, eltwise_param 24 Eltwise, threshold_param 25 Threshold,
  dummy_data_param 26 DummyData, relu_param 30 ReLU, slice_param 31 Slice, mvn_param 34 MVN, softmax_param 39 Softmax,
  exp_param 41 Exp
ArgMax: out_max_val 1 bool, top_k 2 int=1, axis 3 int
BatchNorm: moving_average_fraction 2 float=0.999, eps 3 float=1e-5
Bias: axis 1 int=1, num_axes 2 int=1
Clip: min 1 float, max 2 float
Concat: concat_dim 1 int=1, axis 2 int=1
Convolution: num_output 1 int, bias_term 2 bool=true, pad 3 int*, kernel_size 4 int*, group 5 int=1, stride 6 int*,
  pad_h 9 int, pad_w 10 int, kernel_h 11 int, kernel_w 12 int, stride_h 13 int, stride_w 14 int, axis 16 int=1,
  dilation 18 int*
Crop: axis 1 int=2, offset 2 int*
Dropout: dropout_ratio 1 float=0.5
DummyData: num 2 int*, channels 3 int*, height 4 int*, width 5 int*, shape 6 BlobShape*
Eltwise: operation 1 {PROD SUM MAX}=SUM, coeff 2 float*
ELU: alpha 1 float=1
Embed: num_output 1 int, input_dim 2 int, bias_term 3 bool=true
Exp: base 1 float=-1, scale 2 float=1, shift 3 float
Flatten: axis 1 int=1, end_axis 2 int=-1
InnerProduct: num_output 1 int, bias_term 2 bool=true, axis 5 int=1, transpose 6 bool
Input: shape 1 BlobShape*
Log: base 1 float=-1, scale 2 float=1, shift 3 float
LRN: local_size 1 int=5, alpha 2 float=1, beta 3 float=0.75, norm_region 4 {ACROSS_CHANNELS WITHIN_CHANNEL}, k 5 float=1
MemoryData: batch_size 1 int, channels 2 int, height 3 int, width 4 int
MVN: normalize_variance 1 bool=true, across_channels 2 bool, eps 3 float=1e-9
Permute: order 1 int*
Pooling: pool 1 {MAX AVE STOCHASTIC}, kernel_size 2 int*, stride 3 int*, pad 4 int*, kernel_h 5 int, kernel_w 6 int,
  stride_h 7 int, stride_w 8 int, pad_h 9 int, pad_w 10 int, global_pooling 12 bool, round_mode 13 {CEIL FLOOR}
Power: power 1 float=1, scale 2 float=1, shift 3 float
PReLU: channel_shared 2 bool
Reduction: operation 1 {_ SUM ASUM SUMSQ MEAN}=SUM, axis 2 int, coeff 3 float=1
ReLU: negative_slope 1 float
Reshape: shape 1 BlobShape, axis 2 int, num_axes 3 int=-1
Scale: axis 1 int=1, num_axes 2 int=1, bias_term 4 bool
Slice: slice_dim 1 int=1, slice_point 2 int*, axis 3 int=1
Softmax: axis 2 int=1
Swish: beta 1 float=1
Threshold: threshold 1 float
Tile: axis 1 int=1, tiles 2 int
"""
"""``name number type``, where ``*`` is for repeated fields, ``=`` precedes the default, and ``{}`` has the values of an
enumeration from 0 on. Ints of all widths have one form in a file. The floats of blobs lie in it one after the other,
as bytes: so they are read at once.
"""
_FIELD = re.compile(r"(\w+)\s+(\d+)\s+(?:\{([^}]*)\}|(\w+))(\*?)(?:=([^\s,]+))?")
_PACKAGE = "graphdl.caffe"


def _protobuf(module: str) -> Any:
    """A module of the ``protobuf`` package, which is optional.

    Raises:
        ModelError: E0901, it is not installed.
    """
    try:
        return importlib.import_module(f"google.protobuf.{module}")
    except ImportError as error:
        raise ModelError(
            Diagnostic(
                "E0901",
                f"the package 'protobuf' cannot be imported ({error})",
                help='install it: pip install "graphdl[caffe]"',
            )
        ) from error


@cache
def net_class() -> Any:
    """The class of ``NetParameter``, the message that is a whole file."""
    pb, pools, factory = (_protobuf(name) for name in ("descriptor_pb2", "descriptor_pool", "message_factory"))
    file = pb.FileDescriptorProto(name="graphdl/caffe.proto", package=_PACKAGE, syntax="proto2")
    plain = {
        "int": pb.FieldDescriptorProto.TYPE_INT64, "float": pb.FieldDescriptorProto.TYPE_FLOAT,
        "bool": pb.FieldDescriptorProto.TYPE_BOOL, "string": pb.FieldDescriptorProto.TYPE_STRING,
        "bytes": pb.FieldDescriptorProto.TYPE_BYTES,
    }  # fmt: skip
    for entry in re.split(r"\n(?=\w)", _TABLE.strip()):
        name, _, fields = entry.partition(":")
        message = file.message_type.add(name=name)
        for field_name, number, values, kind, repeated, default in _FIELD.findall(fields):
            field = message.field.add(name=field_name, number=int(number), label=3 if repeated else 1)
            if values:
                enumeration = message.enum_type.add(name=f"{field_name}_values")
                for value, text in enumerate(values.split()):
                    enumeration.value.add(name=text, number=value)
                field.type = field.TYPE_ENUM
                field.type_name = f".{_PACKAGE}.{name}.{field_name}_values"
            elif kind in plain:
                field.type = plain[kind]
            else:
                field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"
            if default:
                field.default_value = default
    pool = pools.DescriptorPool()  # of its own: another package may have the messages of Caffe in the common one
    pool.Add(file)
    return factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.NetParameter"))


def parse_text(text: str, name: str) -> Any:
    """The ``NetParameter`` of a ``.prototxt`` file.

    Raises:
        ModelError: E0901, the package protobuf is missing; E0905, the text has another format.
    """
    text_format = _protobuf("text_format")
    try:
        return text_format.Parse(text, net_class()(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise ModelError(Diagnostic("E0905", f"{name} is no Caffe net ({error})")) from error


def parse_bytes(data: bytes, name: str) -> Any:
    """The ``NetParameter`` of a ``.caffemodel`` file.

    Raises:
        ModelError: E0901, the package protobuf is missing; E0905, the bytes have another format.
    """
    message = _protobuf("message")
    try:
        return net_class().FromString(data)
    except message.DecodeError as error:
        raise ModelError(Diagnostic("E0905", f"{name} has no weights of Caffe ({error})")) from error
