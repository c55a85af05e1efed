"""Model references, and the constructor calls and inputs they stand for."""

from ._build import TRUSTED_PACKAGES as TRUSTED_PACKAGES
from ._build import build_module as build_module
from ._build import check_trusted as check_trusted
from ._build import is_trusted_package as is_trusted_package
from ._calls import ConstructorCall as ConstructorCall
from ._calls import call_of as call_of
from ._calls import decode_arguments as decode_arguments
from ._calls import encode_arguments as encode_arguments
from ._calls import render as render
from ._calls import variant_id as variant_id
from ._imports import import_target as import_target
from ._imports import target_of as target_of
from ._inputs import parse_input as parse_input
from ._inputs import parse_inputs as parse_inputs
from ._inputs import with_dtype as with_dtype
from ._instances import instance_arguments as instance_arguments
from ._recorded import as_keywords as as_keywords
from ._recorded import copied as copied
from ._recorded import recorded_calls as recorded_calls
from ._reference import Reference as Reference
from ._reference import parse_reference as parse_reference
from ._sources import ResolvedModel as ResolvedModel
from ._sources import matching_models as matching_models
from ._sources import resolve_model as resolve_model
from ._wider import deeper_call as deeper_call
from ._wider import wider_call as wider_call
