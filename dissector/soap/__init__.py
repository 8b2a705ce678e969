"""SOAP: bytes of an XML document → envelope with addressing, header blocks, fault and includes; and back.

``xml`` parses hostile bytes, ``envelope`` reads what a document says, ``spans`` tells where its elements stand,
``build`` makes envelopes. What a message means is not known here.
"""
